"""Exact average precision and matching accuracy of described pairs, summed over batches and ranks by torchmetrics."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from descriptors.batch import Described
from descriptors.photo_precisions import PhotoPrecisions, by_photo, interval

THRESHOLDS_PX = (1, 3, 5)


def exact_average_precision(positive: Tensor, candidates: Tensor, allowed: Tensor) -> Tensor:
    """AP with one positive is 1 / rank; a candidate as similar as the positive counts as ranked before it.

    Args:
        positive: (N,) similarity to the positive.
        candidates: (N, P) similarities to the rest.
        allowed: (N, P) bool: the candidate is a negative of this anchor.

    Returns:
        (N,) in (0, 1].
    """
    rank = ((candidates >= positive[:, None]) & allowed).sum(1) + 1
    return torch.reciprocal(rank.to(positive.dtype))


def match_errors_px(query: Described, positive: Described, pairs: int) -> Tensor:
    """Distance in px between the nearest descriptor's place in the positive crop and the true place, (pairs, M).

    Candidates are the valid keypoints of the own pair's positive crop; rows stand in `pairs` equal blocks.
    """
    similarity = _blocks(query.descriptor, pairs) @ _blocks(positive.descriptor, pairs).mT
    nearest = similarity.masked_fill_(~_blocks(positive.valid, pairs)[:, None], -torch.inf).argmax(2)
    place = _blocks(positive.xy, pairs)
    offset = _blocks(query.xy, pairs) - place.gather(1, nearest[..., None].expand_as(place))
    errors: Tensor = offset.norm(dim=2)
    return errors


def _blocks(rows: Tensor, pairs: int) -> Tensor:
    return rows.view(pairs, -1, *rows.shape[1:])


class PairMetrics(Metric):
    """Mean over pairs of AP (with a 95 % interval) and of matching accuracy at 1, 3 and 5 px.

    Each pair's figures are the mean over its keypoints; pairs without a keypoint do not count. Pairs of one photo are
    alike, so the interval takes photos, not pairs, as independent: the cluster-robust standard error of the mean (Liang
    and Zeger, 1986, with G / (G - 1)) times Student's t for G - 1 degrees of freedom, G photos. The pairs' figures are
    kept, so the result does not depend on batch size or ranks.
    """

    full_state_update = False
    figures: list[Tensor]
    photos: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("figures", [], dist_reduce_fx="cat")  # (pairs, 1 + thresholds) each
        self.add_state("photos", [], dist_reduce_fx="cat")  # (pairs,) int64 each
        self.of_photos: PhotoPrecisions = {}  # known after `compute`, on all ranks

    def update(self, query: Described, positive: Described, gallery: Described, photos: Tensor) -> None:
        """Adds pairs whose keypoints stand in equal blocks of rows in `query` and `positive`.

        Args:
            query: (pairs * M) anchors; row n's positive is row n of `positive`.
            positive: (pairs * M).
            gallery: extra keypoints that are negatives of everyone.
            photos: (pairs,) the photo each pair shows.
        """
        pairs = len(photos)
        thresholds = torch.tensor(THRESHOLDS_PX, device=query.xy.device)
        right = match_errors_px(query, positive, pairs)[..., None] <= thresholds
        precision = self._precision(query, positive, gallery, pairs)
        figures = torch.cat([precision[..., None], right], 2).float()
        valid = _blocks(query.valid, pairs)[..., None]
        mean = (figures * valid).sum(1) / valid.sum(1).clamp_min(1)
        counted = valid[..., 0].any(1)
        self.figures.append(mean.where(counted[:, None], torch.nan))  # of equal length on all ranks
        self.photos.append(photos)

    @staticmethod
    def _precision(query: Described, positive: Described, gallery: Described, pairs: int) -> Tensor:
        """(pairs, M) AP of each anchor among the other keypoints of its own pair and the gallery."""
        own = _blocks(query.descriptor, pairs) @ _blocks(positive.descriptor, pairs).mT  # (pairs, M, M)
        true = (query.descriptor * positive.descriptor).sum(1)
        keypoint = _blocks(query.keypoint, pairs)
        others = (keypoint[:, :, None] != keypoint[:, None]) & _blocks(positive.valid, pairs)[:, None]
        candidates = torch.cat([own.flatten(0, 1), query.descriptor @ gallery.descriptor.T], 1)
        allowed = torch.cat([others.flatten(0, 1), gallery.valid.expand(len(true), -1)], 1)
        return _blocks(exact_average_precision(true, candidates, allowed), pairs)

    def compute(self) -> dict[str, Tensor]:
        """`ap`, `ap_low`, `ap_high` (95 %) and `accuracy@1px`, `@3px`, `@5px`, all in [0, 1]; nan without a pair."""
        figures, photos = dim_zero_cat(self.figures).double().cpu(), dim_zero_cat(self.photos).cpu()
        counted = ~figures[:, 0].isnan()
        figures, photos = figures[counted], photos[counted]
        self.of_photos = by_photo(figures[:, 0], photos)
        mean = figures.mean(0)
        half = interval(figures[:, 0], photos)
        accuracy = {f"accuracy@{t}px": mean[1 + i] for i, t in enumerate(THRESHOLDS_PX)}
        low, high = (mean[0] - half).clamp_min(0), (mean[0] + half).clamp_max(1)
        return {"ap": mean[0], "ap_low": low, "ap_high": high} | accuracy
