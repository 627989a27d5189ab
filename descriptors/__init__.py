"""Self-supervised local feature descriptors, trained with hard negatives from ever wider search spaces.

All that most need, each a line:

```python
import descriptors

# Weights that are shipped, by name; or a run folder, a weights file, a checkpoint.
model = descriptors.load("gd_mining")

# .first and .second (K, 2) px, .similarity (K,), the most similar first.
matches = model.match("a.jpg", "b.jpg")

# .xy (N, 2) px, .descriptor (N, 128) unit rows.
features = model.detect_and_describe("a.jpg")

# The rows that the command `evaluate` prints.
rows = descriptors.evaluate(["rootsift", "gd_mining"], "bundled")

# A run folder, as the command `train` leaves it.
folder = descriptors.train("in_batch", "data.root=photos/")
```

Places are px, x right, y down, (0, 0) is the centre of the first pixel. Bad input is a `ValueError` of one sentence.
`descriptors.explore` has what notebooks ask for in a line each, `descriptors.figures` the pictures. Both, and all of
the above, are imported when they are first named, so that `import descriptors` itself takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from descriptors import explore, figures
    from descriptors.describe import Describer
    from descriptors.evaluation.evaluate import evaluate
    from descriptors.explore.training import train
    from descriptors.photo_features import Matches, PhotoFeatures

_HOMES = {  # name -> the module that it is of
    "Describer": "descriptors.describe",
    "Matches": "descriptors.photo_features",
    "PhotoFeatures": "descriptors.photo_features",
    "evaluate": "descriptors.evaluation.evaluate",
    "train": "descriptors.explore.training",
}
_MODULES = ("explore", "figures")


def load(
    path_or_name: "str | Path", device: str = "cpu", allow_imports: bool = False, precision: str = "32"
) -> "Describer":
    """Trained weights that describe keypoints and match photos.

    Args:
        path_or_name: weights that are shipped, by name; a run folder, `weights.safetensors` or a checkpoint.
        device: where the network runs, e.g. `cuda`.
        allow_imports: whether weights may name a network of your own, whose code is then run.
        precision: of the layers, `32` or `bf16`.

    Raises:
        ValueError: there is no such file, it is damaged, it names code and may not, or the precision is unknown.
    """
    from descriptors import describe  # here, so that importing the package stays instant

    return describe.load(path_or_name, device, allow_imports, precision)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name in _MODULES:
        return importlib.import_module(f"descriptors.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'descriptors' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = ["Describer", "Matches", "PhotoFeatures", "evaluate", "explore", "figures", "load", "train"]
