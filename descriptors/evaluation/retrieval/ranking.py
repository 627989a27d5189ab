"""The order in which a global descriptor gives the gallery to each query."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from descriptors.evaluation.retrieval.collection import Collection, Query, Rows
from descriptors.evaluation.retrieval.global_descriptors import GlobalDescriptors

QUERIES_AT_ONCE = 32  # whose similarities to the whole gallery are held


def global_rankings(
    collection: Collection, described: GlobalDescriptors, queries_at_once: int = QUERIES_AT_ONCE
) -> Iterator[Rows]:
    """For every query the gallery's rows, the most alike first, equally alike ones in the gallery's order.

    Views without a descriptor come last. A query's excluded rows are left out, and of the rows of one place all but
    the first.
    """
    gallery = collection.gallery
    lacking = torch.tensor([view in described.missing for view in gallery], device=described.matrix.device)
    for start in range(0, len(collection.queries), queries_at_once):
        queries = collection.queries[start : start + queries_at_once]
        similarity = _rows(queries, described) @ described.matrix[: len(gallery)].T
        order = similarity.masked_fill(lacking, -torch.inf).sort(descending=True, stable=True).indices.numpy()
        yield from (_kept(row, query, collection.place) for row, query in zip(order, queries, strict=True))


def _rows(queries: Sequence[Query], described: GlobalDescriptors) -> Tensor:
    number = [described.number[query.view] for query in queries]
    return described.matrix.index_select(0, torch.tensor(number, device=described.matrix.device))


def _kept(order: Rows, query: Query, place: Rows | None) -> Rows:
    rows = order[~np.isin(order, query.excluded)]
    if place is None:
        return rows
    _, first = np.unique(place[rows], return_index=True)
    return rows[np.sort(first)]
