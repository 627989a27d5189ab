"""The size of images in SuperPoint's evaluation on HPatches."""

import cv2
import numpy as np

from descriptors.data.decoding import Pixels
from descriptors.evaluation.sizes import Resized, scaling

WIDTH_PX, HEIGHT_PX = 640, 480


def covering_crop(image: Pixels, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Resized:
    """The middle of an image that was resized, its shape kept, until it just covers width x height.

    DeTone et al. (2018) say only that images were resized to 480 x 640; this is the rule of the public evaluation that
    reproduced them (rpautrat/SuperPoint: `ratio_preserving_resize`), portrait images included. Unlike there, sizes are
    rounded instead of cut off, so that nothing is ever padded; shrinking averages areas instead of sampling bilinearly;
    and the homography follows the pixels exactly, with their centres at integers and with the crop's offset.

    Returns:
        (height, width, 3), and the (3, 3) from old to new px.
    """
    height, width = image.shape[:2]
    ratio = max(width_px / width, height_px / height)
    size = (round(width * ratio), round(height * ratio))
    interpolation = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)
    left, top = (size[0] - width_px) // 2, (size[1] - height_px) // 2
    crop = resized[top : top + height_px, left : left + width_px]
    offset = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    return np.ascontiguousarray(crop), offset @ scaling((width, height), size)
