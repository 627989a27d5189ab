"""The network through torch.compile: whether this machine can, and when it happens."""

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from descriptors.checks import ConfigError
from descriptors.module import DescriptorModule


def check_compiler(accelerator: str) -> None:
    """Raises ConfigError where torch.compile could not build its kernels for `gpu` or `cpu`.

    On a CPU kernels are C++ with Python's headers; on a GPU they are Triton's, which compiles what starts them.
    """
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise ConfigError(
            f"trainer.compile = true needs a compiler, and there is no '{name}' here; install one (Debian: apt install "
            "g++), or name yours in the environment variable CXX, or use trainer.compile=false."
        )
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        raise ConfigError(
            f"trainer.compile = true needs Python's headers, and there is no {header}; install them (Debian: apt "
            "install python3-dev), or use trainer.compile=false."
        )
    if accelerator == "gpu" and find_spec("triton") is None:
        raise ConfigError("trainer.compile = true needs Triton on a GPU: pip install triton, or trainer.compile=false.")


class CompiledNetwork(Callback):
    """Compiles the network, in place, when training starts; its parameters keep their names.

    Only training steps, which are all of one shape, run compiled: the shapes of a validation would take longer to
    compile than to compute.
    """

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, DescriptorModule)  # noqa: S101 (tells the type)
        module.network.compile(dynamic=False)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        torch.compiler.set_stance("force_eager")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        torch.compiler.set_stance("default")

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        torch.compiler.set_stance("default")
