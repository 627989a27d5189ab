"""A JPEG decoded at less than its size gives the same samples by the same draws, but for a grey level or two."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from descriptors.data.decoding import decode_bytes, decode_reduced
from descriptors.data.framing import frame, least_side, shrink
from descriptors.data.loading import PhotoLoader
from descriptors.data.photos import PhotoDataset, index_folder
from tests.data.pictures import encoded, noise, whole


def photograph(height, width):
    return Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("least", "reduction", "shape"),
    [(None, 1, (400, 600)), (201, 1, (400, 600)), (200, 2, (200, 300)), (50, 8, (50, 75))],
)
def test_the_strongest_reduction_that_keeps_the_least_side_is_taken(least, reduction, shape):
    decoded = decode_reduced(encoded(photograph(400, 600), "JPEG"), "photo", least)
    assert (decoded.reduction, decoded.pixels.shape[:2], decoded.whole) == (reduction, shape, (400, 600))


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 130), width=st.integers(1, 130), least=st.integers(1, 60), orientation=st.integers(1, 8))
def test_sides_are_rounded_up_and_a_turned_photo_is_reduced_by_what_divides_it(height, width, least, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    file = encoded(Image.new("RGB", (width, height)), "JPEG", exif=exif)
    decoded = decode_reduced(file, "photo", least)
    n = decoded.reduction
    assert (
        decoded.whole
        == decode_bytes(file, "photo").shape[:2]
        == ((height, width) if orientation < 5 else (width, height))
    )
    assert decoded.pixels.shape[:2] == tuple(-(-side // n) for side in decoded.whole)
    stronger = [m for m in (2, 4, 8) if m > n and min(height, width) // m >= least]
    assert not any(orientation == 1 or height % m == width % m == 0 for m in stronger)
    assert n == 1 or (min(height, width) // n >= least and (orientation == 1 or height % n == width % n == 0))


@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("WEBP", {}), ("TIFF", {}), ("BMP", {})])
def test_other_formats_are_decoded_whole(file_format, options):
    assert decode_reduced(encoded(photograph(160, 160), file_format, **options), "photo", 20).reduction == 1


@pytest.mark.parametrize(("width", "reduction"), [(1600, 2), (1603, 2), (3001, 4), (6007, 8)])
def test_a_line_stays_where_it_was_to_a_tenth_of_a_pixel(width, reduction):
    """A bright line at x = 0.95 of the width, shrunk from the reduced photo and from the whole one."""
    pixels = np.zeros((80 * reduction, width, 3), np.uint8)
    pixels[:, int(0.95 * width) : int(0.95 * width) + 3 * reduction] = 255
    file = encoded(Image.fromarray(pixels), "JPEG", quality=98)
    reduced = decode_reduced(file, "photo", 70)
    assert reduced.reduction == reduction
    target = (40, width // (2 * reduction))
    places = [_line(shrink(photo, pixels.shape[:2], target)) for photo in (reduced.pixels, decode_bytes(file, "photo"))]
    assert places[0] == pytest.approx(places[1], abs=0.1)


def _line(pixels):
    column = pixels[:, :, 1].astype(float).mean(0)
    column[column < 20] = 0
    return (np.arange(len(column)) * column).sum() / column.sum()


@pytest.mark.parametrize(
    "options", [{"quality": 92}, {"quality": 80, "progressive": True}, {"quality": 95, "subsampling": 0}]
)
@pytest.mark.parametrize("size", [(900, 1203), (1801, 1400)])
def test_samples_differ_by_less_than_two_grey_levels_on_average(size, options):
    image = photograph(*size)
    file = encoded(image, "JPEG", **options)
    reduced = decode_reduced(file, "photo", least_side(200))
    assert reduced.reduction > 1
    for key in range(6):
        small, large = frame(reduced, 200, key), frame(whole(decode_bytes(file, "photo")), 200, key)
        assert small.size == large.size
        assert np.abs(small.pixels.astype(int) - large.pixels).mean() < 1.5


def test_keypoints_and_the_stylized_copy_of_a_reduced_photo_lie_as_those_of_the_whole(photo_folder):
    pixels = np.asarray(photograph(803, 1001))
    file = encoded(Image.fromarray(pixels), "JPEG", quality=90)
    places = np.array([[0, 0], [500.5, 300.25], [999, 801], [123, 777]])
    for key in range(8):
        reduced = frame(decode_reduced(file, "photo", least_side(128)), 128, key, pixels, places)
        expected = frame(whole(decode_bytes(file, "photo")), 128, key, pixels, places)
        np.testing.assert_array_equal(reduced.styled, expected.styled)
        np.testing.assert_array_equal(reduced.keypoints, expected.keypoints)


def test_small_photos_and_other_formats_give_the_same_samples_bit_for_bit(photo_folder):
    root = photo_folder({"a.jpg": (120, 90), "b.png": (300, 310), "c.jpg": (82, 84)})
    index = index_folder(root, 1, root.parent / "cache", progress=False)
    reduced = PhotoDataset(index, 64, seed=1, load=PhotoLoader(index, least_side(64)))
    for photo in range(3):
        assert reduced[3, photo].pixels.equal(PhotoDataset(index, 64, seed=1)[3, photo].pixels)


def test_a_jpeg_replaced_by_one_of_half_its_size_is_noticed_when_it_is_decoded_reduced(photo_folder):
    root = photo_folder({"a.jpg": (200, 300)})
    index = index_folder(root, 1, root.parent / "cache", progress=False)
    Image.fromarray(noise((100, 150))).save(root / "a.jpg")
    with pytest.raises(ValueError, match=r"'a\.jpg' changed .* was 300 x 200 px and is now 150 x 100 px"):
        PhotoLoader(index, 100)(0)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_jpeg_is_refused_also_where_it_is_decoded_reduced(share):
    file = encoded(photograph(400, 400), "JPEG")
    with pytest.raises(ValueError, match="photo"):
        decode_reduced(file[: int(share * len(file))], "photo", 50)
