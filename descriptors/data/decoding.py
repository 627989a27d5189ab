"""Decodes any photo file to 8-bit RGB, or refuses it with one exception and a reason.

Pillow does the work: it refuses truncated files, which some OpenCV releases return half gray, and scales 16 bits to 8.
It knows no global state here, so that decoding is safe in threads and in DataLoader workers.
"""

import io
import warnings
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose
from PIL.JpegImagePlugin import JpegImageFile

from descriptors.data.refusals import MAX_BYTES, MAX_PIXELS, refusal

Pixels = NDArray[np.uint8]  # (h, w, 3) RGB

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".bmp"})

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "PPM", "BMP")
_BACKGROUND = "white"
_UPRIGHT = {  # EXIF orientation -> what undoes it
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_ON_ITS_SIDE = range(5, 9)  # EXIF orientations
_STRIPE_PX = 512  # rows turned to RGB at once, so that a large photo is not in memory four times
_BITS_PER_SAMPLE = 258  # TIFF tag
_REDUCTIONS = (
    8,
    4,
    2,
)  # of a JPEG's 8 x 8 blocks, what libjpeg's scaled inverse transforms give at less than full work


# What Pillow finds odd in a file's notes is no news of the photo, and a photo that is refused is named with its reason.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UndecodableError(ValueError):
    """The file cannot be turned into a photo; `path` names it and `reason` says why."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error survives pickling between processes
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{str(self.path)!r} cannot be decoded: {self.reason}."


class Span(NamedTuple):
    """A part of a file."""

    start: int  # its first byte
    length: int  # bytes


class Decoded(NamedTuple):
    """A photo's pixels, perhaps fewer than its file holds."""

    pixels: Pixels  # (ceil(h / reduction), ceil(w / reduction), 3)
    whole: tuple[int, int]  # h, w of the photo in its file, px
    reduction: int = 1  # 1, 2, 4 or 8: a pixel stands for a square of so many px a side, from the top left corner on


def decode(path: Path | str) -> Pixels:
    """The photo in a file: (h, w, 3) uint8 RGB, writable.

    JPEG, PNG, WebP, TIFF, PPM, PGM and BMP are read, by content and not by suffix; of several pages the first. EXIF
    orientation is applied where it can be read. Gray and palette become RGB, CMYK goes through Pillow's plain
    conversion, 16 bits are scaled to 8 (the high byte), transparent pixels are laid over white, colour profiles are
    ignored.

    Raises:
        UndecodableError: for all other files, truncated ones, and what `refusals` lists.
    """
    return decode_bytes(read(path), path)


def read(path: Path | str, span: Span | None = None) -> bytes:
    """The bytes of a file or of a part of it, for callers who hash and decode the same read.

    Raises:
        UndecodableError: where the file system refuses, the file is larger than `MAX_BYTES` or no regular one (a pipe
            would be waited for), or it ends before the part does.
    """
    try:
        status = Path(path).stat()
        if not S_ISREG(status.st_mode):
            raise UndecodableError(path, "reading it failed (it is no regular file)")
        size = status.st_size if span is None else span.length
        if size > MAX_BYTES:
            raise UndecodableError(path, f"its {size} bytes are more than {MAX_BYTES}")
        return Path(path).read_bytes() if span is None else _part(Path(path), span)
    except FileNotFoundError as error:
        raise UndecodableError(path, "there is no such file") from error
    except OSError as error:
        raise UndecodableError(path, f"reading it failed ({error.strerror})") from error
    except ValueError as error:
        if isinstance(error, UndecodableError):
            raise
        raise UndecodableError(path, f"its path cannot be ({error})") from error


def decode_bytes(data: bytes, path: Path | str) -> Pixels:
    """As `decode`, of a file's content; `path` is only named in errors."""
    return decode_reduced(data, path, None).pixels


def decode_reduced(data: bytes, path: Path | str, least_side: int | None) -> Decoded:
    """As `decode_bytes`, but a JPEG at 1/8, 1/4 or 1/2 of its size where its shorter side keeps `least_side` px there.

    The JPEG's inverse transform leaves out the frequencies that the smaller picture cannot show: about what averaging
    squares of pixels gives, in a fraction of the time. Other formats, and all with None, are decoded whole.
    """
    if not data:
        raise UndecodableError(path, "the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            reason = refusal(image, data)
            if reason:
                raise UndecodableError(path, reason)
            return _decoded(image, path, least_side)
    except UndecodableError:
        raise
    except UnidentifiedImageError as error:
        raise UndecodableError(path, f"it is none of {', '.join(_FORMATS)}, or its beginning is damaged") from error
    except Image.DecompressionBombError as error:
        raise UndecodableError(path, f"it has more than {MAX_PIXELS} pixels") from error
    except Exception as error:  # a broken file makes Pillow raise anything from struct.error to SyntaxError
        said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
        raise UndecodableError(path, f"it is damaged ({said})") from error


def is_turned(data: bytes) -> bool:
    """Whether EXIF makes `decode_bytes` turn or mirror the pixels of a file that it can decode."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        return _orientation(image) in _UPRIGHT


def declared_pixels(data: bytes) -> int:
    """How many pixels the header of a file declares; 0 where it has none that can be read."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return image.width * image.height
    except Exception:  # of a broken file; `decode_bytes` says what is wrong with it
        return 0


def _part(path: Path, span: Span) -> bytes:
    with path.open("rb") as file:
        file.seek(span.start)
        data = file.read(span.length)
    if len(data) < span.length:
        raise UndecodableError(path, f"it ends before the {span.length} bytes from {span.start} on")
    return data


def _decoded(image: Image.Image, path: Path | str, least_side: int | None) -> Decoded:
    reduction = 1 if least_side is None else _reduction(image, least_side)
    if reduction == 1:
        pixels = _pixels(image, path)
        return Decoded(pixels, (pixels.shape[0], pixels.shape[1]))
    width, height = image.size
    whole = (width, height) if _orientation(image) in _ON_ITS_SIDE else (height, width)
    image.draft(None, (width // reduction, height // reduction))
    return Decoded(_pixels(image, path), whole, reduction)


def _reduction(image: Image.Image, least_side: int) -> int:
    """The strongest that leaves `least_side` px; where EXIF turns the photo, it must divide both sides.

    Else turning would bring the last pixels, which stand for less than a square each, to the left or the top.
    """
    if not isinstance(image, JpegImageFile):
        return 1
    upright = _orientation(image) not in _UPRIGHT
    fits = (n for n in _REDUCTIONS if min(image.size) // n >= least_side)
    return next((n for n in fits if upright or not any(side % n for side in image.size)), 1)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, as stored, where there is none or where the notes are broken: the pixels are whole."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken notes make Pillow raise anything
        return 1
    return found if isinstance(found, int) else 1


def _pixels(image: Image.Image, path: Path | str) -> Pixels:
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        shift = _bits(image) - 8
        return _gray_to_rgb(np.asarray(image if upright is None else image.transpose(upright)) >> shift)
    if image.mode in ("I", "F"):
        raise UndecodableError(path, f"its pixels are 32-bit numbers (mode {image.mode}) without a known white")
    return _to_rgb(image if upright is None else image.transpose(upright))


def _to_rgb(image: Image.Image) -> Pixels:
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIPE_PX):
        bottom = min(top + _STRIPE_PX, image.height)
        pixels[top:bottom] = np.asarray(_flatten(image.crop((0, top, image.width, bottom))).convert("RGB"))
    return pixels


def _bits(image: Image.Image) -> int:
    """Bits of a gray sample deeper than 8: a TIFF may hold 12, all else is stretched to 16 by Pillow."""
    tags: Any = getattr(image, "tag_v2", {})
    return int(tags.get(_BITS_PER_SAMPLE, (16,))[0])


def _gray_to_rgb(gray: NDArray[Any]) -> Pixels:
    return np.repeat(gray.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _flatten(image: Image.Image) -> Image.Image:
    """Lays a transparent picture over the background; returns all others as they are."""
    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return image
    background = Image.new("RGBA", image.size, _BACKGROUND)
    return Image.alpha_composite(background, image.convert("RGBA"))
