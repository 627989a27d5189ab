"""HDF5 files, weights, checkpoints and tables that are damaged or of wrong types: they are refused, none crashes."""

import io
import json
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import save

from descriptors.checkpoints import read_checkpoint
from descriptors.evaluation import features
from descriptors.evaluation.stored_weights import read_stored
from descriptors.export.stored_features import stored_features
from descriptors.mining.neighbour_files import read_table
from descriptors.pairs.keypoints import StoredKeypoints
from descriptors.verbs.hloc_file import FORMAT, HlocFile
from descriptors.weights import FORMAT as WEIGHTS
from descriptors.weights import load_network
from tests.robustness.fuzzing import FEW, MANY, damaged, each, ended

amounts = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
PARTS = ("keypoints", "descriptors", "image_size", "scores", "scales", "angles", "octaves")
SHAPES = [(0, 2), (3, 2), (3, 4), (8, 3), (3,), (1, 2, 3), (2, 0), ()]
ODD = [np.zeros(shape, kind) for shape in SHAPES for kind in (np.float32, np.float16, np.int64, np.complex64, np.bool_)]
ODD += [np.array([88, 72]), np.array([1e300, -1]), np.array([np.nan, np.inf]), np.full((3, 2), np.nan)]
ODD += [np.array([b"x", b"yy"]), np.array(["a", "b"], object), np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])]
ODD += ["group", "empty", "reference"]
WHOLE = {
    "keypoints": np.ones((3, 2), np.float32),
    "descriptors": np.ones((8, 3), np.float32),
    "image_size": np.array([88, 72]),
    **{name: np.ones(3, np.float32) for name in PARTS[3:]},
}


def hdf5(parts, group="a.png"):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs.update({"format": FORMAT, "identity": "x"})
        for name, value in parts.items():
            _fill(file, f"{group}/{name}", value)
    return stream.getvalue()


def _fill(file, name, value):
    if isinstance(value, np.ndarray) and value.dtype == object:
        file.create_dataset(name, data=value, dtype=h5py.string_dtype())
    elif isinstance(value, str) and value == "group":
        file.create_group(name)
    elif isinstance(value, str) and value == "empty":
        file[name] = h5py.Empty("f")
    elif isinstance(value, str):
        file[name] = file.ref
    else:
        file[name] = value


odd_parts = st.dictionaries(st.sampled_from(PARTS), st.sampled_from(ODD), max_size=2).map(lambda odd: hdf5(WHOLE | odd))
lacking = st.sets(st.sampled_from(PARTS), max_size=3).map(
    lambda gone: hdf5({n: v for n, v in WHOLE.items() if n not in gone})
)
files = odd_parts | lacking | damaged(hdf5(WHOLE)) | odd_parts.flatmap(damaged)


def read_all(path):
    with stored_features(path) as found:
        return [(found[name], found.count(name), found.dim_of(name), found.size(name)) for name in found]


def wrong_features(found):
    for one, count, dim, _ in found:
        if one.xy.shape != (count, 2) or one.descriptors.shape != (count, dim):
            return f"{one.xy.shape}, {one.descriptors.shape}"
    return None


@amounts
def test_files_of_features(examples, tmp_path):
    path = tmp_path / "features.h5"

    def check(content):
        path.write_bytes(content)
        ended("files of features", lambda: read_all(path), wrong_features)

    each(4 * examples, files, check)


@amounts
def test_files_of_keypoints(examples, tmp_path):
    path = tmp_path / "keypoints.h5"

    def wrong(points):
        return None if points.dtype == np.float32 and points.ndim == 2 and points.shape[1] == 2 else str(points)

    def check(content):
        path.write_bytes(content)
        ended("files of features", lambda: StoredKeypoints(path).of("a.png"), wrong)

    each(2 * examples, files, check)


@amounts
def test_kept_features_are_read_or_computed_again(examples, tmp_path):
    path = tmp_path / "a.h5"

    def check(content):
        path.write_bytes(content)
        ended("caches", lambda: features.read(path, "a.png", (*features.LAYOUT, "descriptors")), _wrong_kept)

    each(2 * examples, files, check)


def _wrong_kept(arrays):
    if arrays is None:
        return None
    shapes = {name: value.shape for name, value in arrays.items()}
    count = shapes["keypoints"][0]
    right = shapes["keypoints"] == (count, 2) and shapes["descriptors"][1:] == (count,)
    right &= all(shapes[name] == (count,) for name in ("scores", "scales", "angles", "octaves"))
    right &= all(value.dtype.kind in "iuf" for value in arrays.values())
    return None if right else str(shapes)


@amounts
def test_a_file_that_extract_completes(examples, tmp_path):
    path = tmp_path / "features.h5"

    def check(content):
        path.write_bytes(content)
        file = ended("files of features", lambda: HlocFile(path, "x", {}))
        if file is not None:
            ended("files of features", lambda: file.holds("a.png", "content"))

    each(examples, files, check)


@pytest.fixture(scope="module")
def weights():
    from descriptors.networks.choice import build_network
    from descriptors.schema import NetworkSettings

    settings = NetworkSettings(name="compact", width=8, dim=16, pretrained="none")
    return {"network": vars(settings)}, build_network(settings).state_dict()


def written(card, tensors):
    return save(tensors, metadata={"format": WEIGHTS, "card": card})


@amounts
def test_files_of_weights(examples, weights, tmp_path):
    card, tensors = weights
    path = tmp_path / "weights.safetensors"
    plain = st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.just([]) | st.just({})
    keys = st.sampled_from([*card["network"], "unknown"])
    cards = st.dictionaries(keys, plain, max_size=2).map(lambda odd: json.dumps({"network": card["network"] | odd}))
    cards |= plain.map(json.dumps) | plain.map(lambda value: json.dumps({"network": value})) | st.just("[" * 100_000)
    whole = written(json.dumps(card), tensors)
    huge = st.sampled_from([1 << 40, 1 << 62, (1 << 64) - 1, len(whole)]).map(
        lambda size: struct.pack("<Q", size) + whole[8:]
    )

    def check(content):
        path.write_bytes(content)
        ended("weights and checkpoints", lambda: load_network(path))
        ended("weights and checkpoints", lambda: read_stored("it", path))

    each(2 * examples, damaged(whole) | huge | cards.map(lambda card: written(card, tensors)), check)


def checkpoint(**changed):
    stream = io.BytesIO()
    whole = {"state_dict": {"network.a": torch.ones(3)}, "experiment": {"network": {}}, "global_step": 3}
    torch.save(whole | changed, stream)
    return stream.getvalue()


@amounts
def test_checkpoints(examples, tmp_path):
    path = tmp_path / "step=1.ckpt"
    odd = (
        st.none()
        | st.integers()
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=3), st.integers())
    )
    keys = st.sampled_from(["state_dict", "experiment", "global_step"])
    made_up = st.dictionaries(keys, odd, max_size=2).map(lambda changed: checkpoint(**changed))
    others = st.sampled_from(
        [pickle.dumps({"a": 1}), pickle.dumps(print), b"PK\x03\x04", _zipped(), b"\x80\x02" + b"(" * 90_000]
    )

    def check(content):
        path.write_bytes(content)
        ended("weights and checkpoints", lambda: read_checkpoint(path))
        ended("weights and checkpoints", lambda: load_network(path))
        ended("weights and checkpoints", lambda: read_stored("it", path))

    each(2 * examples, damaged(checkpoint()) | made_up | others, check)


def _zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(print))
        file.writestr("archive/version", "3")
    return stream.getvalue()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    path = tmp_path / "step=1.ckpt"
    torch.save({"state_dict": {}, "experiment": {}, "global_step": 1, "evil": Evil()}, path)
    for read in (read_checkpoint, load_network, lambda path: read_stored("it", path)):
        assert ended("weights and checkpoints", lambda one=read: one(path)) is None
    assert not (tmp_path / "ran").exists()


@amounts
def test_stored_tables_of_neighbours_are_read_or_built_again(examples, tmp_path):
    path = tmp_path / "table.pt"
    odd = st.sampled_from(
        [None, 1, torch.zeros(2), torch.full((4, 2), 9), torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)]
    )

    def made(changed):
        stream = io.BytesIO()
        whole = {"index": torch.zeros(4, 2, dtype=torch.int64), "place": torch.arange(4), "left_out": 1}
        torch.save(whole | changed, stream)
        return stream.getvalue()

    def check(content):
        path.write_bytes(content)
        ended(
            "caches",
            lambda: read_table(path, 4, 2),
            lambda table: None if table is None or table.index.max() < 4 else "photos",
        )
        path.unlink()

    each(
        2 * examples,
        damaged(made({})) | st.dictionaries(st.sampled_from(["index", "place", "left_out"]), odd).map(made),
        check,
    )
