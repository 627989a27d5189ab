"""Text, tables and pickles that name photos and their truth: damaged or made up, they are read or refused."""

import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from descriptors.data.index_cache import IndexCache, Seen
from descriptors.data.photo_list import list_source
from descriptors.evaluation.homography.folder import find_pairs, read_homography, read_pair, without_pairs
from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.localization.poses import read_poses
from descriptors.evaluation.localization.reference import read_reference, trivial_model
from descriptors.evaluation.pose.pairs_file import parse, read_lines, scenes_of
from descriptors.evaluation.retrieval.landmark import find_landmarks
from descriptors.evaluation.retrieval.plain_pickle import load_plain
from descriptors.evaluation.retrieval.revisited import find_revisited
from descriptors.evaluation.retrieval.tokyo247 import find_tokyo
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import read_at_size
from tests.robustness import hostile
from tests.robustness.fuzzing import FEW, MANY, damaged, each, ended

amounts = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
WORDS = [
    "1",
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "0x1",
    "1_0",
    "\u0661",
    "",
    "#",
    "..",
    "/etc/passwd",
    "a/b.png",
    "\x00",
    "é",
    "1e-320",
]
words = st.sampled_from(WORDS) | st.floats().map(str) | st.integers().map(str) | st.text(max_size=4)
POSE = "a.png b.png 0 1 " + "1 0 2 0 1 2 0 0 1 " * 2 + "1 0 0 1 0 1 0 0 0 0 1 0 0 0 0 1\n"


def lines(least=0, most=6, across=12):
    return st.lists(st.lists(words, max_size=across).map(" ".join), min_size=least, max_size=most).map("\n".join)


def text(whole):
    return damaged(whole.encode()) | lines().map(lambda said: said.encode(errors="surrogatepass"))


@amounts
def test_homographies(examples, tmp_path):
    path = tmp_path / "H_1_2"

    def wrong(found):
        return None if found.shape == (3, 3) and np.isfinite(found).all() else "it is no homography"

    def check(content):
        path.write_bytes(content)
        ended("homographies and pairs of images", lambda: read_homography(path), wrong)

    each(2 * examples, text("1 0 3\n0 1 -2.5\n1e-5 0 1\n"), check)


@amounts
def test_folders_in_the_layout_of_hpatches(examples, tmp_path):
    names = st.sampled_from(
        ["1.png", "2.png", "2.jpg", "3.ppm", "H_1_2", "H_1_3", "H_1_", "H_1_99999999999999999999", "\u00b2.png"]
    )
    content = st.sampled_from([b"", b"1 0 0\n0 1 0\n0 0 1", hostile.plain(1, "png"), b"nan " * 9])
    number = iter(range(10**6))

    def check(files):
        sequence = tmp_path / str(next(number)) / "v_wall"
        hostile.write(sequence, [hostile.Hostile(name, content) for name, content in files.items()])
        found = ended("homographies and pairs of images", lambda: find_pairs(sequence.parent))
        without_pairs(sequence.parent)
        for files in found or []:
            ended(
                "homographies and pairs of images", lambda one=files: read_pair(one, lambda path: read_at_size(path, 0))
            )

    each(
        examples,
        st.dictionaries(names | st.text("12.pngH_", min_size=1, max_size=9), content, min_size=1, max_size=5).filter(
            _fits
        ),
        check,
    )


def _fits(files):
    return not {".", ".."} & set(files) and all("/" not in name for name in files)


@amounts
def test_lists_of_pairs_with_their_pose(examples, tmp_path):
    path = tmp_path / "pairs.txt"

    def check(content):
        path.write_bytes(content)
        found = ended("lists of pairs with poses", lambda: read_lines(path))
        scenes_of(found or [])
        for line in found or []:
            ended("lists of pairs with poses", lambda one=line: parse(one))

    each(2 * examples, text(POSE * 3), check)


@amounts
def test_tables_of_landmarks(examples, tmp_path):
    settings = Settings(("sift",), tmp_path, options={"gallery": "all"})
    whole = "file,landmark,is_query\na.jpg,tower,1\nb.jpg,tower,0\nc.jpg,distractor,0\n"

    def check(content):
        (tmp_path / "gt.csv").write_bytes(content)
        ended("lists for retrieval", lambda: find_landmarks(settings))

    each(2 * examples, text(whole) | st.just(b"file,landmark,is_query\n" + b'"' * 300_000), check)


def revisited():
    truth = {"bbx": np.array([1.0, 2, 60, 50]), "easy": [1], "hard": np.array([0]), "junk": []}
    return {"imlist": ["a", "b"], "qimlist": ["q"], "gnd": [truth]}


@amounts
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_truth(protocol, examples, tmp_path):
    path = tmp_path / "gnd_roxford5k.pkl"
    settings = Settings(("sift",), tmp_path)

    def check(content):
        path.write_bytes(content)
        ended("lists for retrieval", lambda: find_revisited(settings))

    plain = st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
        lambda part: (
            st.lists(part, max_size=2) | st.dictionaries(st.sampled_from(["bbx", "easy", "hard", "junk"]), part)
        ),
    )
    keys = st.sampled_from(["imlist", "qimlist", "gnd"])
    made_up = st.dictionaries(keys, plain | st.lists(st.text(max_size=3)), max_size=3).map(
        lambda one: revisited() | one
    )
    each(examples, damaged(pickle.dumps(revisited(), protocol)) | made_up.map(pickle.dumps), check)


def test_pickles_that_would_run_code_or_fill_the_memory_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    huge = b"\x80\x04" + b"\x8e" + (1 << 60).to_bytes(8, "little") + b"."  # bytes of 2^60
    memo = b"\x80\x04" + b"N" + b"r" + (1 << 31).to_bytes(4, "little") + b"."  # the value number 2^31
    deep = b"(" * 100_000 + b"l" * 100_000 + b"."
    nested = b"".join([b"\x80\x02", b"]" * 50_000, b"a" * 49_999, b"."])
    itself = pickletools.optimize(pickle.dumps(_endless()))
    for content in (pickle.dumps(Evil()), huge, memo, deep, nested, itself):
        (tmp_path / "gnd_x.pkl").write_bytes(content)
        assert ended("lists for retrieval", lambda: find_revisited(Settings(("sift",), tmp_path))) is None
        ended("lists for retrieval", lambda: load_plain(tmp_path / "gnd_x.pkl"))
    assert not (tmp_path / "ran").exists()


def _endless():
    endless = []
    endless.append(endless)
    return endless


@amounts
def test_files_of_tokyo(examples, tmp_path):
    from scipy.io import savemat

    path, settings = tmp_path / "tokyo247.mat", Settings(("sift",), tmp_path, options={"cuts": 1})
    names = np.array(["a.jpg", "b.jpg"], object)
    whole = {
        "dbImageFns": names,
        "utmDb": np.ones((2, 2)),
        "qImageFns": names,
        "utmQ": np.ones((2, 2)),
        "posDistThr": 25.0,
    }
    odd = st.sampled_from([np.zeros(0), np.ones((3, 2)), "x", np.array([np.nan, 1.0]), np.array([], object), 1j, names])
    changed = st.dictionaries(st.sampled_from(sorted(whole)), odd, max_size=2)

    def made(content):
        savemat(path, {"dbStruct": whole | content})
        return path.read_bytes()

    def check(content):
        path.write_bytes(content)
        ended("lists for retrieval", lambda: find_tokyo(settings))

    each(examples, changed.map(made) | changed.map(made).flatmap(damaged), check)


@amounts
def test_lists_of_photos(examples, tmp_path):
    path = tmp_path / "photos.txt"

    def check(content):
        path.write_bytes(content)
        ended("photo lists and shards", lambda: list_source(path))

    each(examples, text("a.jpg\n# no photo\n\nsub/b.png\na.jpg\n"), check)


@amounts
def test_what_was_seen_of_photos_is_read_or_built_anew(examples, tmp_path):
    cache = IndexCache(tmp_path, Path("/photos"))
    cache.store({"a.jpg": Seen(10, 20, "ab", 30, 40), "b.jpg": Seen(11, 21, "cd", 31, 41)})
    whole = cache.path.read_bytes()

    def check(content):
        cache.path.write_bytes(content)
        again = ended("caches", lambda: IndexCache(tmp_path, Path("/photos")))
        assert again is not None
        seen = again.get("a.jpg")
        assert seen is None or min(seen.height, seen.width, seen.file_bytes) >= 0

    each(
        2 * examples,
        damaged(whole) | st.sampled_from([b"[" * 100_000, b'{"format": 1, "files": [1]}', b"1" * 5000]),
        check,
    )


@amounts
def test_lists_of_cameras_and_poses(examples, tmp_path):
    path = tmp_path / "cameras.txt"
    camera = "a.jpg 640 480 500 500 320 240 1 0 0 0 1 0 0 0 1 0 0 1\n"

    def check(content):
        path.write_bytes(content)
        ended("lists of cameras and poses", lambda: read_reference(path))
        ended("lists of cameras and poses", lambda: read_poses(path))

    sizes = st.sampled_from(["1e300", "-3", "0", "1e10", "4294967296", "2.5"])
    each(2 * examples, sizes.map(lambda side: camera.replace("640", side).encode()) | text(camera), check)
    each(examples, text("a.jpg 1 0 0 0 0 0 1\n" * 2), check)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_a_cut_model_of_colmap_is_refused_before_it_is_read_for_ever(name, tmp_path):
    cameras = {"a.jpg": pycolmap.Camera(camera_id=1, model="PINHOLE", width=10, height=10, params=[1, 1, 5, 5])}
    trivial_model(cameras, {"a.jpg": np.eye(4)[:3]}).write(tmp_path)
    assert set(read_reference(tmp_path)) == {"a.jpg"}
    whole = (tmp_path / name).read_bytes()
    for content in (whole[:4], whole[: len(whole) // 2], b"\xff" * 7 + b"\0" + whole[8:], (5).to_bytes(8, "little")):
        (tmp_path / name).write_bytes(content)
        ended("lists of cameras and poses", lambda: read_reference(tmp_path))
