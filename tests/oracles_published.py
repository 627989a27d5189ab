"""HNDesc, CAPS and R2D2 written a second time, from their published layer lists: key layouts, forwards, readings.

Sources: imelekhov/HNDesc (assets/descriptors/hndesc.py, experiments/service/ldd_factory.py), qianqianwang68/caps
(CAPS/network.py, extract_features.py), naver/r2d2 (nets/patchnet.py).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

STAGES = {"layer1": (64, 64, 3), "layer2": (256, 128, 4), "layer3": (512, 256, 6)}  # channels in, width, blocks
DECODER = {  # conv + bn + elu: channels in, channels out, kernel
    "conv_coarse": (1024, 128, 1),
    "upconv3.conv": (1024, 512, 3),
    "iconv3": (1024, 512, 3),
    "upconv2.conv": (512, 256, 3),
    "iconv2": (512, 256, 3),
    "conv_fine": (256, 128, 1),
}
QUAD = [  # number in `ops`, channels out in eighths of 32, kernel, dilation, of those that a norm follows
    (0, 8, 3, 1),
    (3, 8, 3, 1),
    (6, 16, 3, 1),
    (9, 16, 3, 2),
    (12, 32, 3, 2),
    (15, 32, 3, 4),
    (18, 32, 2, 4),
    (20, 32, 2, 8),
]


def resunet_tensors(seed):
    """The state dict of CAPS's network on ResNet-50, of random values; HNDesc's has the same keys."""
    draw, tensors = _Draw(seed), {}
    tensors["firstconv.weight"] = draw.kernel(64, 3, 7)
    tensors |= draw.norm("firstbn", 64)
    for stage, (fan_in, width, blocks) in STAGES.items():
        for block in range(blocks):
            tensors |= _bottleneck_tensors(draw, f"{stage}.{block}", fan_in if block == 0 else 4 * width, width)
    for name, (fan_in, fan_out, side) in DECODER.items():
        tensors[f"{name}.conv.weight"] = draw.kernel(fan_out, fan_in, side)
        tensors[f"{name}.conv.bias"] = draw.normal(fan_out) * 0.1
        tensors |= draw.norm(f"{name}.bn", fan_out)
    return tensors


def quad_tensors(seed, mchan=4, scores=False):
    """The state dict of R2D2's network; HNDesc's has no layers that score keypoints."""
    draw, tensors, fan_in = _Draw(seed), {}, 3
    for number, eighths, side, _ in QUAD:
        fan_out = eighths * mchan
        tensors |= draw.convolution(f"ops.{number}", fan_out, fan_in, side)
        tensors |= draw.norm(f"ops.{number + 1}", fan_out, affine=False)
        fan_in = fan_out
    tensors |= draw.convolution("ops.22", 128, fan_in, 2)
    if scores:
        tensors |= draw.convolution("clf", 2, 128, 1) | draw.convolution("sal", 1, 128, 1)
    return tensors


def caps_rows(tensors, rgb, xy):
    """Coarse, then fine: pixel x of W is cell x (w - 1) / (W - 1), as torch 1.2 reads."""
    halves = [
        _read_all(dense, rgb, xy, lambda x, cells, size: x * (cells - 1) / (size - 1))
        for dense in _resunet(tensors, rgb)
    ]
    return _unit(np.concatenate(halves, 1))


def hndesc_rows(tensors, rgb, xy):
    """Pixel x of W is cell x w / (W - 1) - 1/2, whichever the network."""
    if "ops.0.weight" in tensors:
        dense = F.normalize(_quad(tensors, rgb).relu(), dim=1)
    else:
        _, dense = _resunet(tensors, rgb)
    return _unit(_read_all(dense, rgb, xy, lambda x, cells, size: x * cells / (size - 1) - 0.5))


def r2d2_rows(tensors, rgb, xy):
    """Pixel x is cell x."""
    dense = F.normalize(_quad(tensors, rgb), dim=1)
    return _unit(_read_all(dense, rgb, xy, lambda x, cells, size: min(max(x, 0), size - 1)))


def _resunet(tensors, rgb):
    run = _Layers(tensors)
    stem = F.conv2d(_normalised(rgb), run["firstconv.weight"], stride=2, padding=3)
    level = F.max_pool2d(F.relu(run.norm("firstbn", stem)), 3, stride=2, padding=1)
    levels = []
    for stage, (_, _, blocks) in STAGES.items():
        for block in range(blocks):
            level = _bottleneck(run, f"{stage}.{block}", level, stride=2 if block == 0 and stage != "layer1" else 1)
        levels.append(level)
    coarse = run.elu("conv_coarse", level)
    for number, skipped in ((3, levels[1]), (2, levels[0])):
        doubled = F.interpolate(level, scale_factor=2, mode="bilinear", align_corners=True)
        grown = run.elu(f"upconv{number}.conv", doubled)
        down, right = (skipped.shape[axis] - grown.shape[axis] for axis in (2, 3))  # 0 or -1
        grown = F.pad(grown, (right // 2, right - right // 2, down // 2, down - down // 2))
        level = run.elu(f"iconv{number}", torch.cat([skipped, grown], 1))
    return coarse, run.elu("conv_fine", level)


def _bottleneck(run, name, x, stride):
    inner = F.relu(run.norm(f"{name}.bn1", F.conv2d(x, run[f"{name}.conv1.weight"])))
    inner = F.conv2d(inner, run[f"{name}.conv2.weight"], stride=stride, padding=1)
    inner = F.conv2d(F.relu(run.norm(f"{name}.bn2", inner)), run[f"{name}.conv3.weight"])
    if f"{name}.downsample.0.weight" in run.tensors:
        x = run.norm(f"{name}.downsample.1", F.conv2d(x, run[f"{name}.downsample.0.weight"], stride=stride))
    return F.relu(run.norm(f"{name}.bn3", inner) + x)


def _quad(tensors, rgb):
    run, x = _Layers(tensors), _normalised(rgb)
    for number, _, side, dilation in QUAD:
        x = run.norm(f"ops.{number + 1}", run.convolution(f"ops.{number}", x, (side - 1) * dilation // 2, dilation))
        x = F.relu(x) if side == 3 else x
    return run.convolution("ops.22", x, 8, 16)


def _normalised(rgb):
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (rgb - mean) / deviation


def _read_all(dense, rgb, xy, cell_of):
    cells, (height, width) = dense[0].double().numpy(), rgb.shape[2:]
    places = [(cell_of(x, cells.shape[2], width), cell_of(y, cells.shape[1], height)) for x, y in xy]
    return np.array([_bilinear_in_zeros(cells, *place) for place in places])


def _bilinear_in_zeros(dense, x, y):
    _, height, width = dense.shape
    value = np.zeros(len(dense))
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                value += (1 - abs(x - column)) * (1 - abs(y - row)) * dense[:, row, column]
    return value


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _bottleneck_tensors(draw, name, fan_in, width):
    tensors = {
        f"{name}.conv1.weight": draw.kernel(width, fan_in, 1),
        f"{name}.conv2.weight": draw.kernel(width, width, 3),
        f"{name}.conv3.weight": draw.kernel(4 * width, width, 1) / 2,
    }
    tensors |= draw.norm(f"{name}.bn1", width) | draw.norm(f"{name}.bn2", width) | draw.norm(f"{name}.bn3", 4 * width)
    if fan_in != 4 * width:
        tensors[f"{name}.downsample.0.weight"] = draw.kernel(4 * width, fan_in, 1) / 2
        tensors |= draw.norm(f"{name}.downsample.1", 4 * width)
    return tensors


class _Draw:
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator)

    def kernel(self, fan_out, fan_in, side):
        return self.normal(fan_out, fan_in, side, side) * math.sqrt(2 / (fan_in * side * side))

    def convolution(self, name, fan_out, fan_in, side):
        return {f"{name}.weight": self.kernel(fan_out, fan_in, side), f"{name}.bias": 0.1 * self.normal(fan_out)}

    def norm(self, name, channels, affine=True):
        mean, spread, scale = 0.1 * self.normal(channels), self._about_one(channels), self._about_one(channels)
        tensors = {f"{name}.running_mean": mean, f"{name}.running_var": spread}
        tensors[f"{name}.num_batches_tracked"] = torch.tensor(220000)
        own = {f"{name}.weight": scale, f"{name}.bias": 0.1 * self.normal(channels)}
        return tensors | own if affine else tensors

    def _about_one(self, channels):
        return 0.5 + torch.rand(channels, generator=self.generator)


class _Layers:
    def __init__(self, tensors):
        self.tensors = tensors

    def __getitem__(self, key):
        return self.tensors[key]

    def norm(self, name, x):
        affine = [self[f"{name}.{key}"] if f"{name}.{key}" in self.tensors else None for key in ("weight", "bias")]
        return F.batch_norm(x, self[f"{name}.running_mean"], self[f"{name}.running_var"], *affine, eps=1e-5)

    def convolution(self, name, x, padding, dilation=1):
        return F.conv2d(x, self[f"{name}.weight"], self[f"{name}.bias"], padding=padding, dilation=dilation)

    def elu(self, name, x):
        padding = self.tensors[f"{name}.conv.weight"].shape[-1] // 2
        return F.elu(self.norm(f"{name}.bn", self.convolution(f"{name}.conv", x, padding)))
