import contextlib
import os
import pickle
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from descriptors.evaluation.retrieval.plain_pickle import load_plain

PLAIN = {"imlist": ["a", "b"], "gnd": [{"bbx": [1.5, 2, 3, 4], "easy": [0], "hard": (), "junk": None}], "n": {1: b"x"}}


class Calls:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back(tmp_path, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    loaded = load_plain(path)
    assert loaded == {**PLAIN, "gnd": [{"bbx": [1.5, 2, 3, 4], "easy": [0], "hard": [], "junk": None}]}


@settings(max_examples=80, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["<i8", ">i4", "u1", "<f4", ">f8"]), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)
    ),
    st.integers(0, 5),
    st.booleans(),
)
def test_arrays_of_numbers_come_back(tmp_path_factory, array, protocol, fortran):
    path = tmp_path_factory.getbasetemp() / "array.pkl"
    given = np.asfortranarray(array) if fortran else array
    path.write_bytes(pickle.dumps({"array": given, "number": np.float32(2.5)}, protocol))
    loaded = load_plain(path)
    np.testing.assert_array_equal(loaded["array"], array)
    assert loaded["array"].dtype.kind == array.dtype.kind
    assert loaded["number"] == 2.5


def test_an_array_as_python_2_wrote_it_comes_back(tmp_path):
    """Protocol 2 with raw bytes as text, as files of 2018 have them."""
    written = pickle.dumps(np.arange(3), 2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in written
    (tmp_path / "a.pkl").write_bytes(written)
    assert load_plain(tmp_path / "a.pkl").tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("function", [os.system, subprocess.call, eval, exec, getattr, __import__, open, print])
def test_a_hostile_pickle_is_refused_in_a_sentence_and_not_run(tmp_path, monkeypatch, protocol, function):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps({**PLAIN, "more": Calls(function, "touch run")}, protocol))
    with pytest.raises(ValueError, match=r"gnd_roxford5k\.pkl: is no pickle of plain data .*which is not plain data"):
        load_plain(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("array", [np.array([print, 1], object), np.zeros(2, [("a", "i4")]), np.array(["x"])])
@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_other_things_than_numbers_are_refused(tmp_path, array, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(array, protocol))
    with pytest.raises(ValueError, match="is no pickle of plain data"):
        load_plain(tmp_path / "a.pkl")


def test_an_array_whose_bytes_are_too_few_is_refused(tmp_path):
    written = pickle.dumps(np.arange(4, dtype="<i2"), 2)
    (tmp_path / "a.pkl").write_bytes(written.replace(b"K\x04\x85", b"K\x7f\x85"))  # of shape (127,)
    with pytest.raises(ValueError, match=r"shape \(127,\) has 8 bytes"):
        load_plain(tmp_path / "a.pkl")


def test_a_pickle_cut_short_anywhere_is_refused(tmp_path):
    whole = pickle.dumps({**PLAIN, "array": np.arange(3)}, 2)
    for length in range(len(whole)):
        (tmp_path / "a.pkl").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is no pickle of plain data"):
            load_plain(tmp_path / "a.pkl")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.pkl"
    path.write_bytes(content)
    with contextlib.suppress(ValueError):  # any other error fails
        load_plain(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        load_plain(tmp_path / "a.pkl")
