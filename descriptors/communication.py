"""How much the ranks tell each other in a step, worked out from shapes."""

import logging
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from descriptors.module import DescriptorModule

log = logging.getLogger(__name__)


def pool_bytes(message: int, gradient: int, ranks: int) -> int:
    """Bytes a rank receives for a pool of all ranks: their messages, and their gradients of its own descriptors.

    Args:
        message: bytes of one rank's keypoints.
        gradient: bytes of the gradient of one rank's descriptors.
        ranks: how many there are.
    """
    return (ranks - 1) * (message + gradient)


def gradient_bytes(parameters: int, ranks: int) -> int:
    """Bytes a rank receives while the parameters' gradients are averaged around a ring, twice over all but its share.

    (Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009.)
    """
    return 2 * (ranks - 1) * parameters // ranks


class Communication(Callback):
    """Says and logs once, after the first batch, how many bytes each rank receives a step (`comm/bytes_per_step`)."""

    def __init__(self) -> None:
        self._told = False

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._told or not trainer.is_global_zero:
            return
        self._told = True
        assert isinstance(module, DescriptorModule)  # noqa: S101 (tells the type)
        pool = trainer.accumulate_grad_batches * pool_bytes(*module.message_bytes, trainer.world_size)
        trained = (parameter for parameter in module.parameters() if parameter.requires_grad)
        gradients = gradient_bytes(sum(each.numel() * each.element_size() for each in trained), trainer.world_size)
        log.info(
            "%d ranks: each receives %.2f MB a step, %.2f MB for the pool of all ranks and %.2f MB of gradients",
            *(trainer.world_size, (pool + gradients) / 1e6, pool / 1e6, gradients / 1e6),
        )
        for logger in trainer.loggers:
            logger.log_metrics({"comm/bytes_per_step": float(pool + gradients)}, step=max(0, trainer.global_step - 1))
