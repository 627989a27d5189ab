"""Slow twins of `descriptors.networks.sampling`: plain float64 loops, straight from the rule."""

import math

import numpy as np


def sample_by_loops(dense, xy, stride, offset_px):
    """(B, D, h, w) and (B, M, 2) px -> (B, M, D): cell i is centred on pixel offset_px + stride * i."""
    batch, channels, height, width = dense.shape
    out = np.zeros((batch, xy.shape[1], channels))
    for b in range(batch):
        for m in range(xy.shape[1]):
            if not np.isfinite(xy[b, m]).all():
                continue
            x = min(max((float(xy[b, m, 0]) - offset_px) / stride, 0.0), width - 1.0)
            y = min(max((float(xy[b, m, 1]) - offset_px) / stride, 0.0), height - 1.0)
            for row in range(height):
                for column in range(width):
                    weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
                    out[b, m] += weight * dense[b, :, row, column].astype(np.float64)
            out[b, m] /= max(math.sqrt((out[b, m] ** 2).sum()), 1e-8)
    return out


def upsample_by_loops(coarse, size):
    """(C, h, w) -> (C, H, W): fine cell i reads the coarse map at i / 2, the border goes on."""
    channels, height, width = coarse.shape
    out = np.zeros((channels, *size))
    for row in range(size[0]):
        for column in range(size[1]):
            for y, weight_y in _two_nearest(row / 2, height):
                for x, weight_x in _two_nearest(column / 2, width):
                    out[:, row, column] += weight_y * weight_x * coarse[:, y, x]
    return out


def _two_nearest(position, length):
    low = math.floor(position)
    return [(low, 1 - (position - low)), (min(low + 1, length - 1), position - low)]
