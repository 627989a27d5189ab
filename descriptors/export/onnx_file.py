"""A network as one ONNX file: an image of any size and keypoints to descriptors, checked against PyTorch."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from descriptors.networks.network import DescriptorNetwork

INPUTS, OUTPUT = ("image", "keypoints"), "descriptors"
OPSET = 20
TOLERANCE = 1e-4  # of a number of a unit row
_EXAMPLE = (38, 61, 11)  # px more than the least height and width, and keypoints: no two of all alike
_CHECKED = ((32, 64, 5), (65, 33, 1), (99, 171, 40))
_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")  # loggers
_SAYS = (
    "image: (1, 3, height, width) float32 RGB in [0, 1]; keypoints: (count, 2) float32 px, x right, y down, (0, 0) = "
    "centre of the first pixel; descriptors: (count, {dim}) float32 unit rows. At least {smallest} px a side."
)


class DescribeKeypoints(nn.Module):
    """What is exported: one image and its keypoints to their descriptors."""

    def __init__(self, network: DescriptorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, keypoints: Tensor) -> Tensor:
        """(1, 3, H, W) float RGB in [0, 1] and (N, 2) px -> (N, D) unit rows."""
        return self.network.describe(image, keypoints[None])[0]


def write_onnx(network: DescriptorNetwork, card: dict[str, Any], path: Path) -> float:
    """Writes the file, aside and renamed, and compares it with the network.

    Args:
        network: on the CPU, in evaluation mode.
        card: what is known of its training; the file carries it as JSON in its metadata, under `card`.

    Returns:
        The largest difference of any number of a descriptor, over images of several sizes.

    Raises:
        ValueError: a package is missing, or the file computes something else than the network.
    """
    _check_packages()
    aside = path.with_name(f"{path.name}.partial")
    try:
        _exported(network, card).save(str(aside), external_data=False)
        difference = largest_difference(network, aside)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"{path}: the ONNX file's descriptors differ from the network's by {difference:.1e}, more than "
                f"{TOLERANCE:.0e}; nothing was written. A layer of the network may depend on the image's size."
            )
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return difference


def largest_difference(network: DescriptorNetwork, path: Path) -> float:
    """Between any number of the descriptors of onnxruntime and PyTorch, for random images and keypoints."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    module, largest = DescribeKeypoints(network), 0.0
    for seed, larger in enumerate(_CHECKED):
        inputs = _inputs(network.smallest_px, larger, torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            expected = module(*inputs).numpy()
        (found,) = session.run([OUTPUT], dict(zip(INPUTS, (tensor.numpy() for tensor in inputs), strict=True)))
        largest = max(largest, float(np.abs(found - expected).max()))
    return largest


def _exported(network: DescriptorNetwork, card: dict[str, Any]) -> torch.onnx.ONNXProgram:
    least = network.smallest_px
    sizes = {2: torch.export.Dim("height", min=least), 3: torch.export.Dim("width", min=least)}
    with _quiet():
        program = torch.onnx.export(
            DescribeKeypoints(network).eval(),
            _inputs(least, _EXAMPLE, torch.Generator().manual_seed(0)),
            input_names=INPUTS,
            output_names=[OUTPUT],
            dynamic_shapes={"image": sizes, "keypoints": {0: torch.export.Dim("count")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ValueError("torch.onnx.export gave nothing back; it says why above.")
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where in which file of this machine each node comes from
    program.model.doc_string = _SAYS.format(dim=network.dim, smallest=least)
    program.model.metadata_props["card"] = json.dumps(card)
    return program


def _inputs(least: int, larger: tuple[int, int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    height, width, count = least + larger[0], least + larger[1], larger[2]
    image = torch.rand(1, 3, height, width, generator=generator)
    last = torch.tensor([width - 1.0, height - 1.0])
    return image, torch.rand(count, 2, generator=generator) * last


def _check_packages() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"ONNX needs further packages ({error}): pip install 'descriptors[export]'.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of every node that it folds, and warns of packages that nothing here needs."""
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in _TALKATIVE}
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, before in loggers.items():
            logger.setLevel(before)
