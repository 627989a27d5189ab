"""The machine in words, and how busy it is."""

import os
import platform
from pathlib import Path

import cv2
import torch

CPUINFO = Path("/proc/cpuinfo")
HALF_PRECISION = ("amx_bf16", "avx512_bf16")  # mining is much faster where the CPU multiplies it


def machine():
    """Processor, cores, GPU and versions in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = f"torch {torch.__version__}, OpenCV {cv2.__version__}, Python {platform.python_version()}"
    return f"{processor()}, {cores} cores, {gpu}; {versions}"


def processor():
    """The CPU's model and which products of half precision it has."""
    entries = cpu_entries()
    model = entries.get("model name") or platform.processor() or platform.machine()
    half = [flag for flag in HALF_PRECISION if flag in entries.get("flags", "").split()]
    return f"{model} ({half[0] if half else 'no bf16'})"


def cpu_entries():
    """What the system says of its first core; empty where it is not Linux."""
    lines = CPUINFO.read_text().split("\n\n")[0].splitlines() if CPUINFO.exists() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def load_average():
    """Of the last minute."""
    return round(os.getloadavg()[0], 2)
