"""How CAPS and HNDesc read their maps at keypoints: the image is stretched over the map from corner to corner."""

import torch.nn.functional as F
from torch import Tensor


def read_stretched(dense: Tensor, xy: Tensor, rgb: Tensor, align_corners: bool) -> Tensor:
    """Bilinear values (N, D), not normalised, at pixels (N, 2); beyond the map lie zeros.

    The first pixel goes to -1 and the last to 1, as for `align_corners=True`. What is read there depends on torch:

    - `True`, all there was before torch 1.3: the first and the last cell. Pixel x of W is cell x (w - 1) / (W - 1).
    - `False`, the default since: these cells' outer edges. Pixel x is cell x w / (W - 1) - 1/2.

    Neither is where a cell of stride s lies, x / s: published weights are read as their authors read them.

    Args:
        dense: (1, D, h, w).
        xy: px, (0, 0) = centre of the first pixel; N may be 0.
        rgb: (1, 3, H, W), the image that the map describes.
        align_corners: of `grid_sample`.
    """
    last = xy.new_tensor([rgb.shape[-1] - 1, rgb.shape[-2] - 1])
    grid = (2 * xy / last - 1)[None, None]
    values = F.grid_sample(dense, grid, mode="bilinear", padding_mode="zeros", align_corners=align_corners)
    return values[0, :, 0].T
