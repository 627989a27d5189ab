"""What a run met, skipped and missed since it began: counted on each rank, summed over all of them when asked."""

from collections.abc import Mapping

import torch
from torch import Tensor

from descriptors.distributed import mean_over_ranks, rank, world_size


class Totals:
    """Counts by name, all ranks with the same names. They stay where they were counted: nobody waits for a sum."""

    def __init__(self) -> None:
        self._own: dict[str, Tensor] = {}  # this rank's

    def add(self, counts: Mapping[str, Tensor]) -> None:
        """Adds 0-dim numbers."""
        for name, value in counts.items():
            total = self._own.get(name)
            self._own[name] = value.float() if total is None else total.to(value.device) + value

    def of_all_ranks(self, device: torch.device) -> dict[str, float]:
        """The sums over the ranks; a call of all ranks, on a device that they can talk from."""
        if not self._own:
            return {}
        names = sorted(self._own)
        values = torch.stack([self._own[name].float().to(device) for name in names])
        return dict(zip(names, (mean_over_ranks(values) * world_size()).tolist(), strict=True))

    def go_on_from(self, sums: Mapping[str, float]) -> None:
        """Takes over what all ranks had together; they will be summed again, so one rank takes it."""
        share = 1.0 if rank() == 0 else 0.0
        self._own = {name: torch.tensor(share * value) for name, value in sums.items()}
