import numpy as np
import pytest

from descriptors.evaluation.pose.pairs_file import PairLine, parse, read_lines, scenes_of
from descriptors.evaluation.sizes import UnmeasurableError
from tests.evaluation.pose.scenes import LEFT, RIGHT, STEREO, line_of, write_list


def line_with(**changed):
    return PairLine("pairs.txt", 7, tuple(line_of(**changed).split()))


def named(*first_images):
    return [PairLine("pairs.txt", number, (name, "b.jpg")) for number, name in enumerate(first_images, 1)]


def test_a_line_says_names_turns_intrinsics_and_motion():
    pair = parse(line_with(turns=(1, 3)))
    assert pair.names == ("moto/left.png", "moto/right.png")
    assert pair.quarter_turns == (1, 3)
    np.testing.assert_array_equal(pair.intrinsics, [LEFT, RIGHT])
    np.testing.assert_array_equal(pair.motion, STEREO)


def test_blank_lines_and_comments_are_no_pairs_but_count_as_lines(tmp_path):
    write_list(tmp_path, ["# name0 name1 ...", "", line_of(), "  ", line_of(("a.png", "b.png"))])
    lines = read_lines(tmp_path / "pairs.txt")
    assert [(line.number, line.name) for line in lines] == [(3, "moto/left.png moto/right.png"), (5, "a.png b.png")]


BENT = STEREO.copy()
BENT[0, 1] = 0.1
MIRRORED = np.diag([-1.0, 1, 1, 1])
MIRRORED[:3, 3] = 1
SINGULAR = np.diag([0.0, 5, 1])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (line_of().split()[:-1], "37 words, expected 38"),
        (["a b.png", *line_of().split()], "39 words, expected 38.*no space"),
        (["alone"], "1 words, expected 38"),
        (line_of(turns=(0, 90)).split(), "rot1 = 90 is not 0, 1, 2 or 3"),
        (line_of(turns=(0.5, 0)).split(), "rot0 = 0.5"),
        (line_of(cameras=(SINGULAR, RIGHT)).split(), r"K0 = \[\[0.0.* is no camera's"),
        (line_of(cameras=(LEFT, LEFT.T)).split(), "K1 = .* is no camera's"),
        (line_of(motion=BENT).split(), "T_0to1 = .* is no rigid motion"),
        (line_of(motion=MIRRORED).split(), "is no rigid motion"),
        (line_of(motion=np.eye(4)).split(), "t = 0"),
        (line_of(motion=STEREO * [[1], [1], [1], [2]]).split(), "last row 0 0 0 1"),
        ([*line_of().split()[:-1], "one"], "T_0to1 is not 16 numbers .*'one'"),
        ([*line_of().split()[:4], "nan", *line_of().split()[5:]], "K0 is not finite"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_what_is_wrong(words, sentence):
    with pytest.raises(UnmeasurableError, match=rf"pairs.txt, line 7: .*{sentence}"):
        parse(PairLine("pairs.txt", 7, tuple("".join(word.split()) for word in words)))


def test_a_rotation_rounded_to_four_digits_is_made_exact():
    rounded = STEREO.copy()
    rounded[:3, :3] = np.round([[0.36, 0.48, -0.8], [-0.8, 0.6, 0], [0.48, 0.64, 0.6]], 4) + 1e-4
    rotation = parse(line_with(motion=rounded)).motion[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation, rounded[:3, :3], atol=3e-4)


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "cannot be read.*pairs=<file name>"), (b"", "lists no pair"), (b"\xff\xfe", "no")]
)
def test_a_list_that_is_none_is_refused_in_a_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "pairs.txt").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_lines(tmp_path / "pairs.txt")


def test_scenes_are_the_first_folders_that_differ():
    assert scenes_of(named("fountain/0.jpg", "fountain/1.jpg", "herz/0.jpg")) == ["fountain", "fountain", "herz"]
    deep = ("Undistorted/0015/images/a.jpg", "Undistorted/0022/images/b.jpg")
    assert scenes_of(named(*deep)) == ["0015", "0022"]


def test_one_scene_many_scenes_and_flat_names_make_no_sets():
    assert scenes_of(named("fountain/0.jpg", "fountain/1.jpg")) == [None, None]
    assert scenes_of(named("0.jpg", "1.jpg")) == [None, None]
    many = named(*(f"{number}/0.jpg" for number in range(11)))
    assert scenes_of(many) == [None] * 11
    assert scenes_of(many[:10]) == [str(number) for number in range(10)]


def test_an_image_without_a_folder_belongs_to_all_only():
    assert scenes_of(named("a/0.jpg", "0.jpg", "b/0.jpg")) == ["a", None, "b"]
