"""The weights that come with the package, by name: `<name>.safetensors`, and beside it its card, `<name>.json`.

The card is the one that the weights carry inside, with the SHA-256 of their whole file added (see `with_hash`): neither
file can change without the other telling. `descriptors.export.shipping` writes both.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
WEIGHTS, CARD = ".safetensors", ".json"
HASH = "sha256"  # the key of the card that only the JSON file has
MAX_BYTES = 16_000_000  # of a weights file, so that the package stays one that is installed without a thought


def names() -> list[str]:
    """What is shipped, in order."""
    return sorted(path.stem for path in FOLDER.glob(f"*{CARD}"))


def read_card(name: str) -> dict[str, Any]:
    """What is known of shipped weights: how they were trained, on what, what they are worth, their licence and hash."""
    card: dict[str, Any] = json.loads((FOLDER / f"{name}{CARD}").read_text(encoding="utf-8"))
    return card


def checked_file(name: str) -> Path:
    """The weights of a shipped name.

    Raises:
        ValueError: the file is missing, or is not the one that its card was written with.
    """
    path, wanted = FOLDER / f"{name}{WEIGHTS}", read_card(name)[HASH]
    found = file_sha256(path) if path.is_file() else "missing"
    if found != wanted:
        raise ValueError(
            f"{path}: is not the file that was shipped (SHA-256 {found:.12}, its card says {wanted:.12}); install the "
            "package again."
        )
    return path


def with_hash(card: dict[str, Any], path: Path) -> dict[str, Any]:
    """The card as it stands in the JSON file beside the weights at `path`."""
    return card | {HASH: file_sha256(path)}


def file_sha256(path: Path) -> str:
    """64 hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
