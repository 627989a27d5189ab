"""Every photo file becomes the RGB it shows, or is refused by name and with a reason."""

import pickle
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from descriptors.data import decoding
from descriptors.data.decoding import UndecodableError, decode, decode_bytes
from tests.data.pictures import encoded, noise

LOSSLESS = [
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("PPM", {}),
    ("BMP", {}),
]
PIXELS = noise((24, 40))
IMAGE = Image.fromarray(PIXELS)


@pytest.mark.parametrize(("file_format", "options"), LOSSLESS)
def test_a_lossless_file_gives_back_its_pixels(tmp_path, file_format, options):
    path = tmp_path / "photo.any"
    path.write_bytes(encoded(IMAGE, file_format, **options))
    decoded = decode(path)
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, PIXELS)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_a_lossy_file_gives_about_its_pixels(file_format):
    smooth = cv2.GaussianBlur(noise((64, 96)), (0, 0), 5)
    decoded = decode_bytes(encoded(Image.fromarray(smooth), file_format, quality=95), "photo")
    assert np.abs(decoded.astype(int) - smooth).mean() < 2


def test_jpeg_pixels_are_those_of_opencv():
    data = encoded(IMAGE, "JPEG", quality=90)
    opencv = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(decode_bytes(data, "photo").astype(int) - opencv).max() <= 2


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_gray_and_palette_become_rgb(mode):
    image = IMAGE.convert(mode)
    np.testing.assert_array_equal(decode_bytes(encoded(image, "PNG"), "photo"), np.asarray(image.convert("RGB")))


def test_cmyk_becomes_rgb():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    decoded = decode_bytes(encoded(red, "JPEG", quality=100), "photo")
    np.testing.assert_allclose(decoded, np.broadcast_to([255, 0, 0], (8, 8, 3)), atol=3)


@pytest.mark.parametrize("alpha", [0, 51, 255])
def test_transparent_pixels_are_laid_over_white(alpha):
    image = Image.new("RGBA", (5, 4), (200, 100, 0, alpha))
    expected = [255 + (colour - 255) * alpha / 255 for colour in (200, 100, 0)]
    decoded = decode_bytes(encoded(image, "PNG"), "photo")
    np.testing.assert_allclose(decoded, np.broadcast_to(expected, (4, 5, 3)), atol=1)


def test_a_transparent_palette_entry_and_a_colour_key_are_white():
    palette = Image.new("P", (3, 3), 7)
    palette.putpalette(range(30))
    for image in (palette, Image.new("L", (3, 3), 7)):
        assert decode_bytes(encoded(image, "PNG"), "photo").max() < 30
        assert decode_bytes(encoded(image, "PNG", transparency=7), "photo").min() == 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pnm"])
def test_16_bits_are_scaled_and_not_clipped(suffix, channels):
    gradient = np.linspace(0, 65535, 32 * 32).round().astype(np.uint16).reshape(32, 32)
    deep = gradient if channels == 1 else np.repeat(gradient[:, :, None], 3, axis=2)
    suffix = {1: ".pgm", 3: ".ppm"}[channels] if suffix == ".pnm" else suffix
    decoded = decode_bytes(cv2.imencode(suffix, deep)[1].tobytes(), "photo")
    assert (decoded[0, 0] == 0).all()
    assert (decoded[-1, -1] == 255).all()
    assert np.abs(decoded[:, :, 0] - gradient / 257).max() <= 1


def test_12_bits_are_scaled_to_the_full_range():
    decoded = decode_bytes(_twelve_bit_tiff([0, 2048, 4095, 1024]), "photo")
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 128, 255, 64])


def _twelve_bit_tiff(row):
    bits = "".join(f"{value:012b}" for value in row)
    strip = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: len(row), 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(file_format, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255  # a white corner, top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), file_format, exif=exif)
    np.testing.assert_allclose(decode_bytes(data, "photo").astype(int), upright, atol=30)


@settings(max_examples=60, deadline=None)
@given(which=st.sampled_from([("JPEG", {}), ("JPEG", {"progressive": True}), *LOSSLESS]), share=st.floats(0, 0.99))
def test_a_truncated_file_is_refused_and_never_half_gray(which, share):
    data = encoded(IMAGE, which[0], **which[1])
    with pytest.raises(UndecodableError, match="photo"):
        decode_bytes(data[: int(share * len(data))], "photo")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is not a photo", "it is none of JPEG, PNG"),
        (encoded(IMAGE, "GIF"), "it is none of JPEG, PNG"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "32-bit numbers"),
    ],
)
def test_what_is_not_a_photo_is_refused_with_the_reason(data, reason):
    with pytest.raises(UndecodableError) as refusal:
        decode_bytes(data, "some.jpg")
    assert reason in refusal.value.reason
    assert "some.jpg" in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path, reason in ((tmp_path, "reading it failed"), (tmp_path / "missing.jpg", "there is no such file")):
        with pytest.raises(UndecodableError, match=reason):
            decode(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_434, 60_000])
def test_a_decompression_bomb_is_refused_from_its_header(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    with pytest.raises(UndecodableError, match=f"more than {decoding.MAX_PIXELS} pixels"):
        decode_bytes(data, "bomb.png")


def test_the_refusal_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(UndecodableError("a b.jpg", "the file is empty")))
    assert str(error) == "'a b.jpg' cannot be decoded: the file is empty."


def test_threads_decode_what_one_thread_decodes():
    files = [encoded(Image.fromarray(noise((30, 20), seed)), "PNG") for seed in range(40)]
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(decode_bytes, files, map(str, range(40))))
    for seed, pixels in enumerate(decoded):
        np.testing.assert_array_equal(pixels, noise((30, 20), seed))
