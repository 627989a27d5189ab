"""Slow twins of how published networks are read at keypoints: plain loops over one keypoint and one cell at a time."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def bilinear(dense, x, y):
    """dense (D, h, w) at column x and row y; the border goes on."""
    _, height, width = dense.shape
    value = np.zeros(dense.shape[0])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            value += weight * dense[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
    return value


def bicubic(dense, x, y):
    """Cubic convolution (Keys, 1981) with a = -3/4 as torch has it; beyond the map lie zeros."""
    _, height, width = dense.shape
    value = np.zeros(dense.shape[0])
    for row in range(math.floor(y) - 1, math.floor(y) + 3):
        for column in range(math.floor(x) - 1, math.floor(x) + 3):
            if 0 <= row < height and 0 <= column < width:
                value += _cubic(x - column) * _cubic(y - row) * dense[:, row, column]
    return value


def superpoint_rows(network, gray, xy):
    """gray (8 h, 8 w) in [0, 1]."""
    decoder = network.descriptor_decoder
    encoded = network.encoder(torch.from_numpy(gray)[None, None].float())[0]
    dense = F.normalize(decoder.conv_descriptor_b(decoder.conv_descriptor_a(encoded).relu()), dim=1)[0].double().numpy()
    _, height, width = dense.shape
    reach_x, reach_y = 8 * width - 4.5, 8 * height - 4.5  # px from the centre of the first cell to "the last"
    places = [((x - 3.5) / reach_x * (width - 1), (y - 3.5) / reach_y * (height - 1)) for x, y in xy]
    return _unit([bilinear(dense, *place) for place in places])


def disk_rows(network, rgb, xy):
    """rgb (1, 3, 16 h, 16 w)."""
    dense = network.heatmap_and_dense_descriptors(rgb)[1][0].double().numpy()
    return _unit([bilinear(dense, x, y) for x, y in xy])


def xfeat_rows(network, rgb, xy):
    """rgb (1, 3, 32 h, 32 w): pixel x is read at cell x w / (W - 1) - 1/2 of the w cells of W pixels."""
    dense = F.normalize(network.net(rgb)[0], dim=1)[0].double().numpy()
    _, height, width = dense.shape
    places = [(x * width / (rgb.shape[3] - 1) - 0.5, y * height / (rgb.shape[2] - 1) - 0.5) for x, y in xy]
    return _unit([bicubic(dense, *place) for place in places])


def aliked_rows(network, rgb, xy):
    """rgb (1, 3, 32 h, 32 w), keypoints inside: 16 places around each, chosen from its pixel's 3 x 3 features."""
    head, features = network.desc_head, network.extract_dense_map(rgb)[0][0]
    dense, rows = np.pad(features.double().numpy(), ((0, 0), (1, 1), (1, 1))), []
    for x, y in xy:
        column, row = math.floor(x), math.floor(y)
        patch = features[:, row - 1 : row + 2, column - 1 : column + 2]
        offsets = head.offset_conv(patch[None]).flatten().double().numpy().reshape(2, 16)
        seen = [_zero_beyond(dense, x + dx + 1, y + dy + 1) for dx, dy in offsets.T]
        weighed = F.selu(head.sf_conv(torch.tensor(np.array(seen).T[None, :, :, None]).float()))[0, :, :, 0]
        rows.append(sum(weighed[:, place] @ head.agg_weights[place] for place in range(16)).double().numpy())
    return _unit(rows)


def local_maxima(response, border):
    """Places (x, y) of the pixels above 0 that are highest of their 5 x 5; of equals the first in reading order."""
    height, width = response.shape
    found = []
    for y in range(border, height - border):
        for x in range(border, width - border):
            here = response[y, x]
            before = [response[v, u] for v, u in _window(x, y, width, height) if (v, u) < (y, x)]
            after = [response[v, u] for v, u in _window(x, y, width, height) if (v, u) > (y, x)]
            if here > 0 and all(here > other for other in before) and all(here >= other for other in after):
                found.append((x, y))
    return found


def _window(x, y, width, height):
    rows, columns = range(max(y - 2, 0), min(y + 3, height)), range(max(x - 2, 0), min(x + 3, width))
    return [(v, u) for v in rows for u in columns]


def _zero_beyond(framed, x, y):
    """framed: a map in a frame of zeros one cell wide."""
    _, height, width = framed.shape
    inside = 0 < x < width - 1 and 0 < y < height - 1
    return bilinear(framed, x, y) if inside else np.zeros(len(framed))


def _cubic(t):
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def _unit(rows):
    rows = np.array(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
