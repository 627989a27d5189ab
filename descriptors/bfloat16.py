"""Whether an x86 CPU multiplies bfloat16 itself."""

import logging
import platform

import torch

log = logging.getLogger(__name__)

X86 = ("x86_64", "AMD64")  # as Linux and as Windows call it


def is_native() -> bool:
    """The CPU has instructions for it; without them a bfloat16 layer takes several times as long as a float32 one."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def warn_if_slow(device: str, setting: str) -> None:
    """Says so where a setting asks for bfloat16 layers on a CPU that has to emulate them; others than x86 may not."""
    if device == "cpu" and platform.machine() in X86 and not is_native():
        log.warning("%s: this CPU does not multiply bfloat16 itself; 32 is several times as fast on it.", setting)
