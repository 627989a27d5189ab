"""A folder of hostile photo files, made from a seed: what each is, and what reading it must give."""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from tests.robustness import headers

SIDES = (72, 88)  # height, width in px of all photos that can be read
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "ppm": "PPM", "bmp": "BMP"}
FLIPS = 16  # damaged files a format

Pixels = NDArray[np.uint8]


class Hostile(NamedTuple):
    """A file that a folder may hold."""

    name: str  # as os.fsdecode gives it
    content: bytes
    pixels: Pixels | None = None  # what it shows: reading must give this; None: it must be left out
    is_open: bool = False  # damage may leave it readable: either is right, a crash is not


def photo(seed: int) -> Pixels:
    """(72, 88, 3): blocks of colour with fine noise, so that lossy formats keep it and keypoints are found."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(20, 230, (9, 11, 3)).repeat(8, 0).repeat(8, 1)
    return (blocks + generator.integers(0, 20, (*SIDES, 3))).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A whole file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(seed: int, suffix: str) -> bytes:
    """A whole file of `photo(seed)`, lossless where the format can be."""
    options = {"webp": {"lossless": True}, "jpg": {"quality": 98}}.get(suffix, {})
    return encoded(Image.fromarray(photo(seed)), FORMATS[suffix], **options)


def corpus(seed: int = 0) -> list[Hostile]:
    """All files with a content of their own; links, pipes and the like are made by `write_specials`."""
    generator = np.random.default_rng(seed)
    parts = (_cut(generator), _foreign(), _declared(), _inflated(), _unusual(), _flipped(generator), _random(generator))
    found = [one for part in (*parts, _named()) for one in part]
    assert len({one.name for one in found}) == len(found)
    return found


def write(folder: Path, files: list[Hostile]) -> None:
    """Writes them below a folder; names are bytes to the file system."""
    for one in files:
        path = os.path.join(os.fsencode(folder), os.fsencode(one.name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(one.content)


def write_specials(folder: Path) -> tuple[set[str], set[str]]:
    """Links, a pipe, sparse files and the like: names that must be left out, and names that are no photo's at all."""
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "to.jpg").symlink_to("fro.jpg")
    (folder / "fro.jpg").symlink_to("to.jpg")
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "process.jpg").symlink_to("/proc/self/mem")
    os.mkfifo(folder / "pipe.jpg")
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "folder.jpg").mkdir()
    (folder / "around").symlink_to(".")
    (folder / ".hidden.jpg").write_bytes(b"hidden")
    left_out = {"loop.jpg", "to.jpg", "fro.jpg", "dangling.png", "device.jpg", "process.jpg", "pipe.jpg", "sparse.jpg"}
    if os.geteuid() != 0:  # who is root may read everything
        (folder / "forbidden.jpg").write_bytes(plain(1, "jpg"))
        (folder / "forbidden.jpg").chmod(0)
        left_out.add("forbidden.jpg")
    return left_out, {"folder.jpg", "around", ".hidden.jpg"}


def _cut(generator: np.random.Generator) -> Iterator[Hostile]:
    for suffix in FORMATS:
        whole = plain(100, suffix)
        lengths = [1, 2, 9, 20, 40, *(int(len(whole) * share) for share in (0.1, 0.3, 0.6, 0.9))]
        for length in lengths:
            yield Hostile(f"cut/{length}.{suffix}", whole[:length] + bytes([int(generator.integers(256))]))
        yield Hostile(f"empty/nothing.{suffix}", b"")


def _foreign() -> Iterator[Hostile]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.jpg", plain(101, "jpg"))
    frames = [Image.fromarray(photo(seed)) for seed in (102, 103)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    others = {"text": b"not a photo\n", "page": b"<!doctype html><img src=x>", "zip": archive.getvalue(), "gif": gif}
    others |= {"svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "zeros": bytes(4096), "pdf": b"%PDF-1.7\n%\xe2\xe3"}
    for name, content in others.items():
        yield Hostile(f"foreign/{name}.jpg", content)
        yield Hostile(f"foreign/{name}.png", content)
    for number, suffix in enumerate(("png", "webp", "tiff", "ppm", "bmp")):
        yield Hostile(f"foreign/really-{suffix}.jpg", plain(110 + number, suffix), photo(110 + number))


def _declared() -> Iterator[Hostile]:
    for width, height in ((30_000, 30_000), (9_400, 9_400), (65_500, 1), (0, 0), (0, 5)):
        for suffix, content in headers.declaring(width, height).items():
            yield Hostile(f"declared/{width}x{height}.{suffix}", content)


def _inflated() -> Iterator[Hostile]:
    """Some kilobytes that become megabytes where nothing bounds them; what is beside the pixels costs no photo."""
    png, stream = plain(120, "png"), headers.inflating(200)
    yield Hostile(
        "inflated/profile.png", headers.with_chunk(png, b"iCCP", b"icc\0\0" + stream), photo(120), is_open=True
    )
    for number, kind in enumerate((b"zTXt", b"iTXt")):
        said = b"Comment\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0") + stream
        yield Hostile(f"inflated/text-{number}.png", headers.with_chunk(png, kind, said), is_open=True)
    yield Hostile("inflated/pixels.png", png[:41] + stream[:4000] + png[41:], is_open=True)
    for name, tag in (("strips", 273), ("orientation", 274), ("profile", 34675), ("bits", 258)):
        yield Hostile(f"inflated/{name}.tiff", headers.tiff([(tag, 4, 0xFFFFFFF0, 8)]))
    yield Hostile("inflated/circle.tiff", headers.tiff([(330, 4, 1, 8)], next_directory=8))


def _unusual() -> Iterator[Hostile]:
    """Kinds that cameras and tools write; which of them are read is `decoding.decode`'s promise."""
    pixels, gray = photo(130), photo(131)[..., 0]
    picture, deep = Image.fromarray(pixels), gray.astype(np.uint16) * 257
    still = np.repeat(gray[..., None], 3, axis=2)
    yield Hostile("unusual/gray.png", encoded(Image.fromarray(gray), "PNG"), still)
    deep_png = encoded(Image.fromarray(deep), "PNG")
    yield Hostile("unusual/deep.png", deep_png, still)
    yield Hostile("unusual/deep.tiff", encoded(Image.fromarray(deep), "TIFF"), still)
    yield Hostile("unusual/deep.pgm", b"P5\n88 72\n65535\n" + deep.byteswap().tobytes(), still)
    yield Hostile("unusual/cmyk.jpg", encoded(picture.convert("CMYK"), "JPEG", quality=98), pixels)
    yield Hostile("unusual/cmyk.tiff", encoded(picture.convert("CMYK"), "TIFF"), pixels)
    frames = [Image.fromarray(photo(seed)) for seed in (132, 133)]
    for number, (suffix, options) in enumerate((("png", {}), ("webp", {"lossless": True}), ("tiff", {}))):
        first = Image.fromarray(photo(140 + number))
        content = encoded(first, FORMATS[suffix], save_all=True, append_images=frames, **options)
        yield Hostile(f"unusual/several.{suffix}", content, photo(140 + number))
    yield from _numbers()
    yield from _annotated()
    yield Hostile("unusual/dot.png", encoded(Image.new("RGB", (1, 1)), "PNG"))
    yield Hostile("unusual/line.png", encoded(Image.new("RGB", (5000, 1)), "PNG"))
    yield Hostile("unusual/dot.jpg", encoded(Image.new("L", (1, 1)), "JPEG"))


def _numbers() -> Iterator[Hostile]:
    """TIFFs of 32-bit numbers, which have no known white."""
    values = np.linspace(0, 1, SIDES[0] * SIDES[1], dtype=np.float32).reshape(SIDES)
    broken = values.copy()
    broken[::3], broken[1::3, ::2] = np.nan, np.inf
    for name, numbers in (("real", values), ("nan", broken), ("whole", (values * 1e6).astype(np.int32))):
        yield Hostile(f"unusual/{name}.tiff", encoded(Image.fromarray(numbers), "TIFF"))


def _annotated() -> Iterator[Hostile]:
    """Photos with broken notes; the pixels are whole, so they are read."""
    picture, generator = Image.fromarray(photo(150)), np.random.default_rng(150)
    for number in range(4):
        noise = generator.integers(0, 256, 200, dtype=np.uint8).tobytes()
        beside = b"Exif\0\0" + (b"II*\0\x08\0\0\0" if number % 2 else b"") + noise
        yield Hostile(f"annotated/{number}.png", encoded(_shifted(picture, number), "PNG", exif=beside), is_open=True)
        yield Hostile(f"annotated/{number}.jpg", encoded(_shifted(picture, number), "JPEG", exif=beside), is_open=True)
    for number, turned in enumerate((0, 9, 255, 65535)):
        exif = Image.Exif()
        exif[274] = turned
        whole = _shifted(picture, 10 + number)
        yield Hostile(f"annotated/turned-{turned}.png", encoded(whole, "PNG", exif=exif), np.asarray(whole))
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "<script>alert(1)</script>")
    yield Hostile("annotated/notes.png", encoded(_shifted(picture, 20), "PNG", pnginfo=notes), photo(170))


def _shifted(picture: Image.Image, number: int) -> Image.Image:
    return Image.fromarray(photo(150 + number)) if number else picture


def _flipped(generator: np.random.Generator) -> Iterator[Hostile]:
    for suffix in FORMATS:
        whole = np.frombuffer(plain(200, suffix), np.uint8)
        for number in range(FLIPS):
            bits = np.unpackbits(whole)
            reach = len(bits) if number % 2 else min(len(bits), 8 * 200)  # half of them in the header
            bits[generator.integers(0, reach, 1 + 3 * number)] ^= 1
            yield Hostile(f"flipped/{number}.{suffix}", np.packbits(bits).tobytes(), is_open=True)


def _random(generator: np.random.Generator) -> Iterator[Hostile]:
    for suffix in FORMATS:
        head = plain(201, suffix)[:12]
        for number in range(4):
            noise = generator.integers(0, 256, 50 * 8**number, dtype=np.uint8).tobytes()
            yield Hostile(f"random/{number}.{suffix}", head[: 4 + 8 * (number % 2)] + noise, is_open=True)


def _named() -> Iterator[Hostile]:
    """Whole photos under names that shells, pages, figures and encodings stumble over."""
    names = ["two\nlines.png", "tab\tand\rreturn.png", 'it\'s "quoted".png', "--help.png", "-o.png", "a=b.png"]
    names += ["<script>alert(1)</script>.png", "&amp;<b>.png", "{{ 7 * 7 }}.png", "$(touch x);`id`.png", "%s%n{0}.png"]
    names += ["$\\frac{1}{.png", "$x$ and $.png", "\\.png", " .png", "\u202egnp.png", "\x01bell\x07.png"]
    names += [
        os.fsdecode(b"\xff\xfe not utf-8.png"),
        "\u96ea\U0001f600.png",
        "n" * 251 + ".png",
        "CON.png",
        "*?[a].png",
    ]
    for number, name in enumerate(names):
        yield Hostile(f"named/{name}", plain(300 + number, "png"), photo(300 + number))
    deep = "/".join(["d" * 100] * 8)
    yield Hostile(f"named/{deep}/deep.png", plain(390, "png"), photo(390))
    yield Hostile("named/<img src=x onerror=alert(1)>.jpg", b"bad photo under a bad name")
    yield Hostile(f"named/{os.fsdecode(bytes([0xFF]))}-bad.jpg", b"bad photo under a name that is no text")
