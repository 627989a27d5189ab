"""The rival pair generator: the same work one photo at a time, with OpenCV, albumentations and NumPy.

It works as good per-sample code does: uint8 wherever OpenCV is fastest on it, float32 where colours are computed.
"""

from typing import NamedTuple

import albumentations as A
import cv2
import numpy as np
import torch

from tests.bench.rival_transport import restyle, style_of

CROP, KEYPOINTS, BORDER_PX, MARGIN_PX = 256, 200, 8, 8
STYLIZED = 0.7


class Photo(NamedTuple):
    pixels: np.ndarray  # (S, S, 3) uint8
    size: tuple[int, int]  # real height and width


class Pair(NamedTuple):
    anchor: torch.Tensor  # (3, H, W) float32 in [0, 1]
    positive: torch.Tensor  # (3, H, W)
    anchor_xy: np.ndarray  # (M, 2) float32 px
    positive_xy: np.ndarray  # (M, 2)
    valid: np.ndarray  # (M,) bool


def photometric(seed):
    """The colour changes of the paper, as albumentations has them."""
    one_of = A.OneOf(
        [
            A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.2, p=0.7),
            A.HueSaturationValue(hue_shift_limit=10, sat_shift_limit=30, val_shift_limit=0, p=0.7),
            A.CLAHE(clip_limit=(1, 4), p=0.5),
            A.ToGray(p=0.5),
            A.ChannelShuffle(p=0.1),
        ],
        p=0.6,
    )
    blur = A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 1.5), p=0.3)
    return A.Compose([one_of, blur, A.GaussNoise(std_range=(0.007, 0.028), p=0.1)], seed=seed)


class Rival:
    """Makes pairs of photos, one by one.

    Args:
        style_photos: (h, w, 3) uint8 each, whose colours are lent.
        seed: of all draws.
    """

    def __init__(self, style_photos, seed=0):
        self.rng = np.random.default_rng(seed)
        self.recolour = photometric(seed)
        self.styles = [style_of(photo) for photo in style_photos]

    def pair(self, photo):
        first, second = sample_crops(photo.size, self.rng)
        anchor, homography = warp(photo.pixels, first), np.linalg.inv(second) @ first
        xy, valid = corners(anchor, shown_by_both(photo.size, first, homography))
        mapped = cv2.perspectiveTransform(xy[None].astype(np.float64), homography)[0].astype(np.float32)
        valid &= ((mapped >= BORDER_PX) & (mapped <= CROP - 1 - BORDER_PX)).all(1)
        positive = self._restyled(*cut(photo, second))
        return Pair(self._finished(anchor), self._finished(positive), xy, mapped, valid)

    def neighbour(self, photo):
        """(3, H, W) float32 one crop, its keypoints (M, 2) and which slots hold one."""
        to_photo, _ = sample_crops(photo.size, self.rng)
        pixels, inside = cut(photo, to_photo)
        keypoints = corners(pixels, photo_region(photo.size, to_photo, MARGIN_PX))
        return self._finished(self._restyled(pixels, inside)), *keypoints

    def _restyled(self, pixels, inside):
        """The crop, with probability 0.7 in a style photo's colours or in a preset's light (a coin)."""
        if self.rng.uniform() >= STYLIZED or not inside.any():
            return pixels
        style = self.styles[self.rng.integers(len(self.styles))] if self.rng.uniform() < 0.5 else None
        return restyle(pixels, inside, style, local=self.rng.uniform() < 0.5, rng=self.rng)

    def _finished(self, pixels):
        recoloured = self.recolour(image=pixels)["image"]
        planes = np.ascontiguousarray(recoloured.transpose(2, 0, 1))
        return torch.from_numpy(planes).float().div_(255)


def sample_crops(size, rng, perspective=0.6, rotation_deg=15.0, shift=0.1):
    """Two homographies (3, 3) crop px -> photo px, with the paper's ranges."""
    zooms = rng.uniform(0.8, 1.0, 2)
    half = zooms * (CROP - 1) / 2
    step = rng.choice([-1.0, 1.0], 2) * shift * CROP
    low = np.maximum(half[0], half[1] - step)
    high = np.array(size[::-1]) - 1 - np.maximum(half[0], half[1] + step)
    centre = np.where(low > high, (low + high) / 2, low + rng.uniform(size=2) * (high - low))
    return [
        crop_to_photo(middle, side, rng, perspective, rotation_deg)
        for middle, side in zip((centre, centre + step), half, strict=True)
    ]


def crop_to_photo(centre, half, rng, perspective, rotation_deg):
    one, other = rng.uniform(perspective, 1, 2)
    quad = np.array([[-one, -1], [one, -1], [other, 1], [-other, 1]])
    quad = quad if rng.uniform() < 0.5 else quad[[0, 3, 2, 1], ::-1]
    angle = np.deg2rad(rng.uniform(-rotation_deg, rotation_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return cv2.getPerspectiveTransform(square(), (half * quad @ turn.T + centre).astype(np.float32))


def square(border_px=0):
    low, high = border_px, CROP - 1 - border_px
    return np.array([[low, low], [high, low], [high, high], [low, high]], np.float32)


def warp(image, to_photo):
    return cv2.warpPerspective(image, to_photo, (CROP, CROP), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def cut(photo, to_photo):
    """A crop (H, W, 3) and which of its pixels show the photo, (H, W) uint8."""
    return warp(photo.pixels, to_photo), photo_region(photo.size, to_photo)


def photo_region(size, to_photo, margin_px=0):
    """(H, W) uint8: 1 where the crop shows the real photo, `margin_px` or more from its edges."""
    right, bottom = size[1] - 1 - margin_px, size[0] - 1 - margin_px
    edges = np.array([[margin_px, margin_px], [right, margin_px], [right, bottom], [margin_px, bottom]], np.float64)
    return polygon(cv2.perspectiveTransform(edges[None], np.linalg.inv(to_photo))[0])


def shown_by_both(size, to_photo, homography):
    """(H, W) uint8: anchor pixels whose places lie in the photo and in the positive crop, clear of its rim."""
    rim = cv2.perspectiveTransform(square(BORDER_PX)[None].astype(np.float64), np.linalg.inv(homography))[0]
    return photo_region(size, to_photo, MARGIN_PX) & polygon(rim)


def polygon(points):
    mask = np.zeros((CROP, CROP), np.uint8)
    cv2.fillConvexPoly(mask, points.round().astype(np.int32), 1)
    return mask


def corners(pixels, allowed):
    """At most M corners (M, 2) float32 px and which slots hold one."""
    rim = BORDER_PX + 1
    allowed = cv2.copyMakeBorder(allowed[rim:-rim, rim:-rim], rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=0)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    found = cv2.goodFeaturesToTrack(gray, KEYPOINTS, qualityLevel=1e-4, minDistance=3, mask=allowed, blockSize=5)
    xy, valid = np.zeros((KEYPOINTS, 2), np.float32), np.zeros(KEYPOINTS, bool)
    if found is not None:
        xy[: len(found)], valid[: len(found)] = found[:, 0], True
    return xy, valid
