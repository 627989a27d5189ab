"""Self-supervised local feature descriptors, trained with hard negatives from ever wider search spaces."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from descriptors.describe import Describer


def load(
    path_or_name: "str | Path", device: str = "cpu", allow_imports: bool = False, precision: str = "32"
) -> "Describer":
    """Trained weights that describe keypoints and match photos, by shipped name or path; see `descriptors.describe`."""
    from descriptors import describe  # here, so that importing the package stays instant

    return describe.load(path_or_name, device, allow_imports, precision)


__all__ = ["load"]
