"""Photo files made by hand, byte by byte: what no encoder would write."""

import struct
import zlib


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A whole PNG with a further chunk behind its header."""
    return png[:33] + chunk(kind, data) + png[33:]


def inflating(megabytes: int) -> bytes:
    """A zlib stream of some kilobytes that becomes so many megabytes."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(megabytes)), packer.flush()])


def declaring(width: int, height: int) -> dict[str, bytes]:
    """suffix -> a file of at most some hundred bytes that says it has so many pixels, in every format that is read."""
    return {
        "png": _png(width, height),
        "bmp": _bmp(width, height),
        "tiff": _tiff(width, height),
        "ppm": b"P6\n%d %d\n255\n" % (width, height) + bytes(30),
        "pgm": b"P5\n%d %d\n65535\n" % (width, height) + bytes(30),
        "webp": _webp(width, height),
        "jpg": _jpeg(width, height),
    }


def tiff(tags: list[tuple[int, int, int, int]], data: bytes = b"", next_directory: int = 0) -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, value) each, `data` behind it."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_directory) + data


def _png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def _bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header + bytes(30)


def _tiff(width: int, height: int) -> bytes:
    short, long = 3, 4
    tags = [(256, long, 1, width), (257, long, 1, height), (258, short, 1, 8), (259, short, 1, 1), (262, short, 1, 1)]
    tags += [(273, long, 1, 200), (277, short, 1, 1), (278, long, 1, height), (279, long, 1, 0xFFFFFFFF)]
    return tiff(tags, bytes(100))


def _webp(width: int, height: int) -> bytes:
    """An extended file: its canvas may have 2^24 px a side, whatever the frames have."""
    canvas = bytes(4) + b"".join(max(side - 1, 0).to_bytes(3, "little") for side in (width, height))
    image = b"VP8L" + struct.pack("<I", 10) + b"\x2f\0\0\0\0\x88\x88\x08\0\0"  # 1 x 1 px
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + image
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0"
    table = b"\xff\xdb" + struct.pack(">H", 67) + b"\0" + bytes([1] * 64)
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\x01\x01\0\0\x3f\0"
    return (
        b"\xff\xd8" + table + b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + scan + bytes(20) + b"\xff\xd9"
    )


def scanned(width: int, height: int, scans: int) -> bytes:
    """A progressive gray JPEG of so many scans, ten bytes each; a decoder passes over all pixels for every one."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0"
    quantization = b"\xff\xdb" + struct.pack(">H", 67) + b"\0" + bytes([1] * 64)
    codes = b"".join(_codes(kind, symbol) for kind, symbol in ((0, 0), (1, 0xE0)))  # 0xE0: 2^14 blocks are empty
    first, further = (b"\xff\xda\0\x08\x01\x01\0" + bytes(band) + b"\0" for band in ((0, 0), (1, 63)))
    start = b"\xff\xd8" + quantization + b"\xff\xc2" + struct.pack(">H", len(frame) + 2) + frame + codes
    return start + first + further * scans + b"\xff\xd9"


def _codes(kind: int, symbol: int) -> bytes:
    """A Huffman table of one code of one bit."""
    return b"\xff\xc4" + struct.pack(">H", 20) + bytes([kind << 4, 1, *[0] * 15, symbol])


def blank_png(width: int, height: int, bit: int) -> bytes:
    """A whole black PNG of one bit a pixel; `bit` sets a pixel of the first row, so that each is another photo."""
    row = bytes(1 + -(-width // 8))
    first = bytearray(row)
    first[1 + bit] = 1
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(first) + row * (height - 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
