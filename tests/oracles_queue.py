"""Slow twin of the descriptor queue: a plain list of past batches."""

from dataclasses import replace

import torch

from descriptors.batch import joined


class ListOfBatches:
    """The last `batches` batches, as they were."""

    def __init__(self, batches, after_steps):
        self.batches, self.after_steps = batches, after_steps
        self.past = []

    def push(self, positives, step):
        if step >= self.after_steps:
            self.past = [*self.past, positives][-self.batches :]

    def behind(self, pool):
        """The pool and the past, whose keypoints have no place and no identity but their photo's."""
        nowhere = [
            replace(batch, xy=torch.full_like(batch.xy, torch.nan), keypoint=torch.full_like(batch.keypoint, -1))
            for batch in self.past
        ]
        return joined(pool, *nowhere)
