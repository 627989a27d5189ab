"""A network as one of hloc's feature extractors (cvg/Hierarchical-Localization); hloc itself is not needed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from descriptors.describe import load
from descriptors.evaluation.detectors import detector_of
from descriptors.photo_features import pixels_of

HEADER = '"""Made by `python -m descriptors export --format hloc`: put it into hloc/extractors/, '
_FILE = (
    HEADER
    + '''its name there is the model's.

    from hloc import extract_features

    conf = {{
        "output": "feats-{name}",
        "model": {{"name": "{name}", "max_keypoints": 2048}},
        "preprocessing": {{"grayscale": False, "resize_max": 1600}},
    }}
    extract_features.main(conf, images, outputs)
"""

from hloc.utils.base_model import BaseModel

from descriptors.export.hloc import HlocExtractor


class Extractor(HlocExtractor, BaseModel):
    default_conf = HlocExtractor.default_conf | {{"weights": {weights!r}, "allow_imports": {allow_imports}}}
'''
)


class HlocExtractor:
    """What hloc asks of an extractor, to be mixed with its `BaseModel`, which calls `_init` and `_forward`.

    `conf`: `weights` and `allow_imports` are what `descriptors.load` takes; `detector` one of `DETECTORS`,
    `detector_weights` the file of a learned one; `max_keypoints` the best so many, 0 for all.
    """

    default_conf: ClassVar[dict[str, Any]] = {
        "weights": None,
        "allow_imports": False,
        "detector": "sift",
        "detector_weights": None,
        "max_keypoints": 2048,
    }
    required_inputs: ClassVar[list[str]] = ["image"]
    detection_noise = 1.0  # px, hloc's usual

    def _init(self, conf: Mapping[str, Any]) -> None:
        weights, file = conf["weights"], conf["detector_weights"]
        if weights is None:
            raise ValueError("conf['weights'] is not set; name shipped weights, a run folder or a weights file.")
        model = load(weights, allow_imports=conf["allow_imports"])
        self.network = model.network  # a submodule, which hloc moves to its device
        self.detector = detector_of(conf["detector"], None if file is None else Path(file))
        self.max_keypoints = max(0, int(conf["max_keypoints"]))  # some of hloc's say -1 for all

    def _forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`image` (1, 3, H, W) RGB or (1, 1, H, W) gray, in [0, 1] -> what hloc stores of it.

        Returns:
            `keypoints` (1, N, 2) px, (0, 0) = centre of the first pixel as in hloc, the best first; `scores` (1, N);
            `descriptors` (1, D, N), unit columns.
        """
        rgb = data["image"].expand(1, 3, -1, -1)
        found = self.detector.detect(pixels_of(rgb[0]), self.max_keypoints)
        xy, scores = (torch.from_numpy(np.ascontiguousarray(part)).to(rgb.device) for part in (found.xy, found.score))
        described = self.network.describe(rgb, xy[None])
        return {"keypoints": xy[None], "scores": scores[None], "descriptors": described.transpose(1, 2)}


def write_extractor(weights: str, path: Path, allow_imports: bool = False) -> None:
    """Writes the file that goes into `hloc/extractors/`.

    Args:
        weights: what `descriptors.load` takes, from any working directory.
        path: `*.py`.
        allow_imports: as `descriptors.load` takes it.

    Raises:
        ValueError: a file lies there that was not made so, or hloc could not import one of this name.
    """
    if not path.stem.isidentifier():
        raise ValueError(f"{path}: hloc imports it by its name; take letters, digits and _, e.g. gd_mining.py.")
    if path.exists() and not path.read_text(encoding="utf-8").startswith(HEADER):
        raise ValueError(f"{path}: is there already, and was not made by this command; name another file.")
    content = _FILE.format(name=path.stem, weights=weights, allow_imports=bool(allow_imports))
    path.write_text(content, encoding="utf-8")
