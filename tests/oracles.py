"""Slow twins of the fast paths, written straight from the equations: loops over anchors, candidates and bins.

The other parts' twins: `oracles_geometry` (homographies, warping), `oracles_colour` (colour transport),
`oracles_sampling` (bilinear sampling).
"""

import math

import torch
from torch import Tensor

from descriptors.batch import Described


def soft_average_precision(positive, negative, valid, bins):
    """AP of every anchor: tents over `bins` centres from 1 down to 0, precision times recall summed over the bins."""
    result = []
    for anchor in range(len(positive)):
        similarities = [float(positive[anchor])]
        similarities += [float(s) for s, ok in zip(negative[anchor], valid[anchor], strict=True) if ok]
        width = 1 / (bins - 1)
        ranked = found = precision = 0.0
        for b in range(bins):
            centre = 1 - b * width
            weight = [max(0.0, 1 - abs(min(1.0, max(0.0, s)) - centre) / width) for s in similarities]
            ranked += sum(weight)
            found += weight[0]
            if ranked > 0:
                precision += weight[0] * found / ranked
        result.append(precision)
    return torch.tensor(result, dtype=torch.float64)


def triplet(positive, negative, valid, margin):
    result = []
    for anchor in range(len(positive)):
        wrong = [float(s) for s, ok in zip(negative[anchor], valid[anchor], strict=True) if ok]
        near = math.sqrt(max(2 - 2 * float(positive[anchor]), 1e-8))
        far = math.sqrt(max(2 - 2 * max(wrong), 1e-8)) if wrong else math.inf
        result.append(max(0.0, margin + near - far))
    return torch.tensor(result, dtype=torch.float64)


def info_nce(positive, negative, valid, temperature):
    result = []
    for anchor in range(len(positive)):
        wrong = [float(s) for s, ok in zip(negative[anchor], valid[anchor], strict=True) if ok]
        total = sum(math.exp(s / temperature) for s in [float(positive[anchor]), *wrong])
        result.append(-math.log(math.exp(float(positive[anchor]) / temperature) / total))
    return torch.tensor(result, dtype=torch.float64)


def exact_average_precision(positive, candidates, allowed):
    """1 / rank, with ties ranked before the positive."""
    result = []
    for anchor in range(len(positive)):
        ahead = sum(
            bool(ok) and s >= positive[anchor] for s, ok in zip(candidates[anchor], allowed[anchor], strict=True)
        )
        result.append(1 / (1 + ahead))
    return torch.tensor(result)


def admissible(query: Described, pool: Described, n: int, p: int, space: str, radius_px: float | None) -> bool:
    """May pool keypoint p be a negative of query keypoint n? `space`: in_pair, in_batch or all."""
    if not query.valid[n] or not pool.valid[p] or query.keypoint[n] == pool.keypoint[p]:
        return False
    if space == "all":
        return True
    same_photo = bool(query.image[n] == pool.image[p])
    distance = math.dist(query.xy[n].tolist(), pool.xy[p].tolist())
    own_beyond = same_photo and radius_px is not None and not math.isnan(distance) and distance >= radius_px
    return own_beyond if space == "in_pair" else own_beyond or not same_photo


def hardest(query: Described, pool: Described, space: str, radius_px: float | None, top_k: int) -> list[list[int]]:
    """Indices of each query keypoint's most similar admissible pool keypoints, best first."""
    chosen = []
    for n in range(len(query.valid)):
        candidates = [p for p in range(len(pool.valid)) if admissible(query, pool, n, p, space, radius_px)]
        similarity = {p: float(query.descriptor[n] @ pool.descriptor[p]) for p in candidates}
        chosen.append(sorted(candidates, key=lambda p: -similarity[p])[:top_k])
    return chosen


def generalised_mean(features, power):
    result = torch.zeros(features.shape[:2])
    for image in range(features.shape[0]):
        for channel in range(features.shape[1]):
            values = [max(float(v), 1e-6) ** power for v in features[image, channel].flatten()]
            result[image, channel] = (sum(values) / len(values)) ** (1 / power)
    return result


def plain_criterion(query: Described, pool: Described, top_k: int, bins: int) -> Tensor:
    """What a straightforward implementation does, for the benchmark: the whole matrix sorted, a dense histogram.

    The full N x P similarity matrix keeps its gradient, is masked, sorted, cut to the K hardest, and binned densely.
    """
    similarity = query.descriptor @ pool.descriptor.T
    positive = (query.keypoint[:, None] == pool.keypoint[None]) & pool.valid
    allowed = (query.image[:, None] != pool.image[None]) & pool.valid
    negative = similarity.masked_fill(~allowed, -2.0).sort(dim=1, descending=True).values[:, :top_k]
    true = (similarity * positive).sum(1, keepdim=True)
    scores = torch.cat([true, negative], 1).clamp(0, 1)
    centres = torch.linspace(1, 0, bins, device=scores.device)
    weight = (1 - (scores[:, None] - centres[:, None]).abs() * (bins - 1)).clamp_min(0)  # (N, Q, K + 1)
    found, ranked = weight[:, :, 0].cumsum(1), weight.sum(2).cumsum(1)
    precision = found / ranked.clamp_min(1e-16)
    return (1 - (precision * weight[:, :, 0]).sum(1))[query.valid].mean()
