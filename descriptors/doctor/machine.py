"""Looks at the machine: devices, precision, compiler, memory, decoders, packages, disk, network, logins."""

import os
import platform
import shutil
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import features

from descriptors import bfloat16, shipped
from descriptors.checks import ConfigError
from descriptors.compiling import check_compiler
from descriptors.doctor.finding import Finding
from descriptors.wandb_login import mode_of

HUB, PATIENCE_S = "https://huggingface.co", 3.0
DECODERS = {"jpg": "JPEG", "zlib": "PNG", "webp": "WebP", "libtiff": "compressed TIFF"}
PACKAGES = {"pycolmap": "poses and reconstructions", "onnxruntime": "ONNX export", "onnxscript": "ONNX export"}
LEAST_SHARED_GIB, LEAST_DISK_GIB = 1.0, 5.0
_GIB = 2**30


def findings(hub: str = HUB) -> Iterator[Finding]:
    """Everything, in the order in which it matters."""
    yield Finding("ok", "software", f"Python {platform.python_version()}, torch {torch.__version__}")
    yield from devices()
    yield compiler()
    yield shared_memory()
    yield decoders()
    yield from packages()
    yield disk(Path.cwd())
    yield weights()
    yield hub_reached(hub)
    yield tracking()


def devices() -> Iterator[Finding]:
    """Each GPU, or why there is none; then the CPU."""
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        half = "bf16" if torch.cuda.is_bf16_supported() else "float16 only"
        yield Finding("ok", f"GPU {number}", f"{about.name}, {about.total_memory / _GIB:.0f} GiB, {half}")
    if not torch.cuda.is_available():
        built = "a CPU build of torch" if torch.version.cuda is None else "no driver or no device"
        yield Finding("note", "GPU", f"no CUDA GPU is usable ({built}); training runs on the CPU, scale=laptop")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    native = bfloat16.is_native()
    half = "bf16 is native: trainer.precision=bf16 pays" if native else "no native bf16: keep trainer.precision=32"
    yield Finding("ok", "CPU", f"{cores} cores, {torch.get_num_threads()} threads; {half}")


def compiler() -> Finding:
    """Whether trainer.compile=true would work."""
    try:
        check_compiler("gpu" if torch.cuda.is_available() else "cpu")
    except ConfigError as error:
        return Finding("note", "compiler", str(error))
    return Finding("ok", "compiler", "trainer.compile=true works: the network is compiled before it trains")


def shared_memory() -> Finding:
    """Through which workers hand over photos, and where data.cache=ram keeps them."""
    room = Path("/dev/shm")  # noqa: S108 (looked at, not written)
    if not room.is_dir():
        return Finding("ok", "shared memory", "not limited by the system")
    free = shutil.disk_usage(room).free / _GIB
    if free < LEAST_SHARED_GIB:
        way_out = "in a container raise it (--shm-size=8g), or set data.workers=0"
        return Finding("note", "shared memory", f"{free:.1f} GiB free; {way_out}")
    return Finding("ok", "shared memory", f"{free:.0f} GiB free: room for data.cache=ram up to that")


def decoders() -> Finding:
    """Of photos."""
    missing = [name for codec, name in DECODERS.items() if not features.check(codec)]
    if missing:
        return Finding("wrong", "decoders", f"Pillow cannot read {', '.join(missing)}; install another build of Pillow")
    fast = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "plain libjpeg, which is slower"
    return Finding("ok", "decoders", f"{', '.join(DECODERS.values())}; JPEG by {fast}")


def packages() -> Iterator[Finding]:
    """That not every use needs."""
    for name, use in PACKAGES.items():
        here = find_spec(name) is not None
        yield Finding("ok" if here else "note", name, f"{use}{'' if here else f': not here, pip install {name}'}")


def disk(folder: Path) -> Finding:
    """Where runs are written."""
    if not os.access(folder, os.W_OK):
        return Finding("wrong", "disk", f"{folder} cannot be written; run from another folder, or give output_dir=...")
    free = shutil.disk_usage(folder).free / _GIB
    said = f"{free:.0f} GiB free where runs are written, {folder / 'runs'}"
    return Finding("ok" if free >= LEAST_DISK_GIB else "note", "disk", said)


def weights() -> Finding:
    """That come with the package, and whether they are what was shipped."""
    try:
        for name in shipped.names():
            shipped.checked_file(name)
    except ValueError as error:
        return Finding("wrong", "weights", str(error))
    return Finding("ok", "weights", f"shipped and whole: {', '.join(shipped.names())}")


def hub_reached(url: str) -> Finding:
    """Only pretrained encoders by name come from there."""
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (the address is not the user's)
        with urllib.request.urlopen(request, timeout=PATIENCE_S):  # noqa: S310
            return Finding("ok", "model hub", f"{url} answers: network.pretrained takes names")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = f"{url} does not answer ({reason}); nothing needs it but network.pretrained=<hub name>"
        return Finding("note", "model hub", said)


def tracking() -> Finding:
    """Weights & Biases."""
    try:
        mode = mode_of()
    except ValueError as error:
        return Finding("wrong", "wandb", str(error))
    way = {"online": "runs are sent", "offline": "not logged in: runs stay in their folders, `wandb sync` sends them"}
    return Finding("ok", "wandb", f"{mode}: {way.get(mode, 'nothing is sent')}")
