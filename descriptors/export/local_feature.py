"""A network as one of kornia's local features: any of its detectors, this network as the descriptor."""

from kornia.color import rgb_to_grayscale
from kornia.feature import LocalFeature, get_laf_center, laf_is_filled
from torch import Tensor, nn

from descriptors.networks.network import DescriptorNetwork


class FrameDescriptor(nn.Module):
    """Describes kornia's local affine frames by their centres; scale and shape are not used.

    Kornia's pixel frame is ours, (0, 0) = centre of the first pixel.
    """

    def __init__(self, network: DescriptorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, img: Tensor, lafs: Tensor) -> Tensor:
        """(B, 3, H, W) RGB or (B, 1, H, W) gray, in [0, 1], and (B, N, 2, 3) -> (B, N, D) unit rows.

        Rows of frames that the detector left empty are zero.
        """
        empty = ~laf_is_filled(lafs)
        xy = get_laf_center(lafs).masked_fill(empty[..., None], float("nan"))
        rgb = img.expand(-1, 3, -1, -1) if img.shape[1] == 1 else img
        return self.network.describe(rgb, xy)


class KorniaFeature(LocalFeature):  # type: ignore[misc]
    """A `kornia.feature.LocalFeature`, to be used wherever kornia takes one, e.g. in its `LocalFeatureMatcher`.

    Args:
        detector: of kornia, such as `ScaleSpaceDetector`; it is shown the image in gray.
        network: e.g. `descriptors.load("gd_mining").network`.
    """

    def __init__(self, detector: nn.Module, network: DescriptorNetwork) -> None:
        super().__init__(detector, FrameDescriptor(network))

    def forward(self, img: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The detector's frames, its responses and the network's descriptors.

        Args:
            img: (B, 3, H, W) RGB or (B, 1, H, W) gray, float in [0, 1]; several of kornia's detectors take B = 1 only.
            mask: (B, 1, H, W), where keypoints may lie; as the detector understands it.

        Returns:
            (B, N, 2, 3) frames, (B, N) responses, (B, N, D) unit rows. Slots that the detector did not fill are zero in
            all three.
        """
        gray = rgb_to_grayscale(img) if img.shape[1] == 3 else img
        frames, responses = self.detector(gray, mask)
        return frames, responses, self.descriptor(img, frames)
