"""The optimiser of a run, which is fused where the device can leave out bad steps by itself."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from descriptors.schema import OptimizerSettings


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[nn.Parameter], fused: bool) -> Optimizer:
    """Adam or AdamW, with one kernel for all parameters if `fused`.

    Whatever device and kind of optimiser made a state that it loads, it stays of the kind that was asked for here.
    """
    kind = {"adam": Adam, "adamw": AdamW}[settings.name]
    rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    optimizer: Optimizer = kind(parameters, **rates, fused=fused or None)
    optimizer.register_load_state_dict_post_hook(partial(_remake, fused=fused or None))
    return optimizer


def leaves_out_by_itself(optimizer: Optimizer) -> bool:
    """A fused Adam changes nothing where its `found_inf` is 1, which may be known on the device alone."""
    return isinstance(optimizer, Adam) and all(group.get("fused") for group in optimizer.param_groups)


def clip(optimizer: Optimizer, most: float, algorithm: str | None = None) -> None:
    """Clips the gradients of its parameters: each number for `value`, else the norm over all."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if algorithm == "value":
        torch.nn.utils.clip_grad_value_(parameters, most)
    else:
        torch.nn.utils.clip_grad_norm_(parameters, most)


def scaler_of(trainer: Trainer) -> Any:
    """GradScaler, which trains with float16, or None."""
    return getattr(trainer.precision_plugin, "scaler", None)


def _remake(optimizer: Optimizer, fused: bool | None) -> None:
    """A state says whether it was fused, and its moments lie in memory as its weights did: fused kernels go by that."""
    for group in optimizer.param_groups:
        group["fused"] = fused
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                state[name] = _step(value, parameter, fused) if name == "step" else _laid_out(value, parameter)


def _step(value: Tensor, parameter: Tensor, fused: bool | None) -> Tensor:
    return value.to(parameter.device if fused else "cpu", torch.float32)


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
