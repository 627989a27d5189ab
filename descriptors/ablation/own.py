"""What makes a row the row it is, which no setting of all rows may undo."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from descriptors import config
from descriptors.config import Layer
from descriptors.schema import Experiment

NO_DIFFERENCE = ("name", "scale")


def own_settings(rows: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Row -> the keys, with their values, in which its files differ from the bases that all rows share.

    `homography_only` so keeps its `pairs.photometric.preset`, whatever that is set to for all rows.

    Raises:
        ValueError: as `config.layers`.
    """
    layers = {row: config.layers(row, settings)[:-1] for row in rows}
    levels = zip(*layers.values(), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len({one.source for one in level}) == 1, levels))
    return {row: _beyond(own, shared) for row, own in layers.items()}


def _beyond(layers: Sequence[Layer], shared: int) -> dict[str, Any]:
    base = _merged(layers[:shared], config.flat(config.to_plain(Experiment())))
    own = _merged(layers[shared:], {})
    return {key: value for key, value in own.items() if key not in NO_DIFFERENCE and value != base.get(key)}


def _merged(layers: Sequence[Layer], under: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for layer in layers:
        merged |= layer.values
    return merged
