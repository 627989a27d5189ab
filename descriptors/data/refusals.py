"""Why a file is not decoded at all: what it declares would take memory or time out of proportion to it."""

import re

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

MAX_PIXELS = 89_000_000  # just under Pillow's own alarm; 267 MB once decoded
MAX_BYTES = 512 << 20  # of a file; more than any photo of so many pixels
MAX_SCANS = 200  # of a JPEG; progressive ones have about ten, and each passes over all pixels

_LEAST_PIXELS_A_BYTE = 512  # a block of 8 x 8 px takes a bit of Huffman code at least, even where nothing is to be seen
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # none of those that stand amid a scan's data


def refusal(image: Image.Image, data: bytes) -> str | None:
    """Why `image`, of whose file `data` only the header has been read, should not be decoded; None if it may be."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        return f"{image.width} x {image.height} are more than {MAX_PIXELS} pixels"
    if not isinstance(image, JpegImageFile):
        return None
    if len(data) * _LEAST_PIXELS_A_BYTE < pixels:
        return f"it is cut short: {len(data)} bytes cannot hold {image.width} x {image.height} pixels"
    if _scans(data) > MAX_SCANS:
        return f"it has more than {MAX_SCANS} scans, each of which would take as long as a photo"
    return None


def _scans(data: bytes) -> int:
    """Scans up to the end of the first image of a JPEG; what follows it may be a film."""
    scans, place = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(data, place)):
        marker = found.group()[1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return scans
