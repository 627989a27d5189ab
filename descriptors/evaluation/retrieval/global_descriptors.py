"""What looks like a query at first sight: one vector a view, the same for all describers that are compared.

`vlad` is made of RootSIFT at the run's own keypoints and needs no weights. A file in hloc's layout (a group an image,
named by its path in images/ or jpg/, for Tokyo 24/7 in the data folder, with a dataset `global_descriptor`) brings any
other. All this stays on the CPU, so that a shortlist does not depend on the device.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from descriptors.evaluation.describers import Describer, Descriptors, describer_of
from descriptors.evaluation.protocol import progress
from descriptors.evaluation.retrieval.collection import Collection, View
from descriptors.evaluation.retrieval.reader import FeatureReader
from descriptors.evaluation.retrieval.vlad import Vocabulary, aggregate, learn_vocabulary
from descriptors.evaluation.sizes import UnmeasurableError

VLAD = "vlad"
LOCAL = "rootsift"  # what VLAD is made of
SAMPLED_VIEWS, SAMPLED_ROWS = 300, 200  # that the vocabulary is learnt from: so many views, so many descriptors of each
STORED = "global_descriptor"  # hloc's name of the dataset

Local = Callable[[View], Descriptors]  # (N, 128), N > 0; raises UnmeasurableError
Encode = Callable[[View], Tensor]  # to a unit row; raises UnmeasurableError


@dataclass(frozen=True)
class GlobalDescriptors:
    """One row a view: the gallery in its order, then those queries that are not in it."""

    matrix: Tensor  # (V, D) unit rows; zero where there is none
    number: Mapping[View, int]  # row of a view
    missing: Mapping[View, str]  # views without one, and why


def describe_views(name: str, collection: Collection, reader: FeatureReader) -> GlobalDescriptors:
    """The global descriptors of a collection, one view at a time.

    Args:
        name: `vlad`, or a file in hloc's layout.

    Raises:
        ValueError: the name is neither, no view of the gallery has a descriptor, or descriptors are of several lengths.
    """
    views = list(dict.fromkeys([*collection.gallery, *(query.view for query in collection.queries)]))
    matrix, missing, first = torch.empty(0, 0), dict[View, str](), None
    with _encoder(name, collection, reader) as encode:
        for number, view in enumerate(progress(views, "images")):
            try:
                row = encode(view)
                matrix = matrix if len(matrix) else row.new_zeros(len(views), len(row))
                first = first or view
                _check_length(row, matrix.shape[1], view, first)
                matrix[number] = row
            except UnmeasurableError as error:
                missing[view] = str(error)
    if all(view in missing for view in collection.gallery):
        raise ValueError(_nothing(name, missing[collection.gallery[0]]))
    return GlobalDescriptors(matrix, {view: number for number, view in enumerate(views)}, missing)


@contextmanager
def _encoder(name: str, collection: Collection, reader: FeatureReader) -> Iterator[Encode]:
    if name == VLAD:
        local = partial(_local, reader, describer_of(LOCAL))
        yield partial(_vlad, learn_vocabulary(_sample(collection.gallery, local)), local)
        return
    path = Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"global_descriptor = '{name}' is neither '{VLAD}' nor a file in hloc's layout (HDF5).")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path}: is not an HDF5 file ({error}).") from error
    with file:
        yield partial(_stored, file)


def _vlad(vocabulary: Vocabulary, local: Local, view: View) -> Tensor:
    return aggregate(torch.from_numpy(local(view)), vocabulary)


def _stored(file: h5py.File, view: View) -> Tensor:
    try:
        values = np.asarray(file[view.name][STORED], np.float32).ravel()
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UnmeasurableError(f"{Path(file.filename).name} has no {STORED} of {view.name}.") from error
    if not np.isfinite(values).all():
        raise UnmeasurableError(f"{Path(file.filename).name}: the {STORED} of {view.name} is not finite.")
    return F.normalize(torch.from_numpy(values), dim=0)


def _check_length(row: Tensor, length: int, view: View, first: View) -> None:
    """Of two lengths nobody knows which one is right."""
    if len(row) != length:
        raise ValueError(
            f"the {STORED} of {view.name} has {len(row)} numbers, that of {first.name} {length}; one "
            "file holds those of one network."
        )


def _sample(gallery: Sequence[View], local: Local) -> Tensor:
    """(S, 128) descriptors of evenly chosen views, evenly chosen among each view's own."""
    parts, lost = [], ""
    for view in progress(gallery[:: max(1, len(gallery) // SAMPLED_VIEWS)], "vocabulary"):
        try:
            rows = local(view)
        except UnmeasurableError as error:
            lost = str(error)  # named again where it is encoded
            continue
        parts.append(rows[:: max(1, len(rows) // SAMPLED_ROWS)])
    if not parts:
        raise ValueError(_nothing(VLAD, lost))
    return torch.from_numpy(np.concatenate(parts))


def _local(reader: FeatureReader, describer: Describer, view: View) -> Descriptors:
    rows = reader.features(view, describer).descriptors
    if not len(rows):
        raise UnmeasurableError(f"no keypoints in {view.name}.")
    return rows


def _nothing(name: str, reason: str) -> str:
    return f"no image of the gallery has a global descriptor by '{name}'; of one of them: {reason}"
