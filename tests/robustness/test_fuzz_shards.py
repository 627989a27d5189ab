"""Tar shards that are cut, lie about their members, or would lead out of their folder: nothing but photos is read."""

import io
import json
import os
import tarfile

import pytest
from hypothesis import strategies as st

from descriptors.cli import main
from descriptors.data import shards
from descriptors.data.sources import index_photos
from tests.robustness import hostile
from tests.robustness.fuzzing import FEW, MANY, damaged, each, ended
from tests.robustness.record import record

amounts = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
KIND = "photo lists and shards"
LINKS = {
    "link.jpg": tarfile.SYMTYPE,
    "hard.jpg": tarfile.LNKTYPE,
    "pipe.jpg": tarfile.FIFOTYPE,
    "disk.jpg": tarfile.BLKTYPE,
}
OUTSIDE = ["../up.jpg", "/etc/up.jpg", "a/../../up.jpg"]


def tar(members, file_format=tarfile.PAX_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=file_format) as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        for name, kind in LINKS.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            file.addfile(member)
    return stream.getvalue()


def members():
    good = [(f"{number}.png", hostile.plain(500 + number, "png")) for number in range(3)]
    return [
        *good,
        *((name, hostile.plain(510, "png")) for name in OUTSIDE),
        ("bad.jpg", b"no photo"),
        ("0.png", b"again"),
    ]


def index(folder, cache):
    return index_photos(folder, 32, cache, progress=False)


@pytest.mark.parametrize("file_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_only_photos_of_a_hostile_shard_are_read(file_format, tmp_path):
    names = os.fsdecode(b"\xff.png"), "<b>.png", "two\nlines.png"
    more = [(name, hostile.plain(520 + number, "png")) for number, name in enumerate(names)]
    (tmp_path / "one.tar").write_bytes(tar([*members(), *more], file_format))
    found = index(tmp_path, tmp_path / "cache")
    assert sorted(found.names) == sorted(
        [*(f"one/{number}.png" for number in range(3)), *(f"one/{name}" for name in names)]
    )
    for number in range(3):
        assert (found.load(found.names.index(f"one/{number}.png")) == hostile.photo(500 + number)).all()
    assert len(found.skipped) == len(OUTSIDE) + len(LINKS) + 2
    assert all(reason.strip() for reason in found.skipped.values())
    record(KIND, inputs_tried=len(found.skipped) + 6, clear_errors=len(found.skipped), read_rightly=6, crashes=0)


@pytest.mark.parametrize("size", [0o77777777777, 1 << 62, -5])
def test_a_member_that_declares_a_huge_size_is_left_out(size, tmp_path):
    member = tarfile.TarInfo("huge.jpg")
    member.size = size
    header = member.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "one.tar").write_bytes(tar(members()[:3])[: _end()] + header)
    found = index(tmp_path, tmp_path / "cache")
    assert len(found) == 3
    assert found.skipped
    record(KIND, inputs_tried=1, clear_errors=1, read_rightly=0, crashes=0)


def _end():
    """Where the third member ends."""
    with tarfile.open(fileobj=io.BytesIO(tar(members()[:3]))) as file:
        last = file.getmembers()[2]
    return last.offset_data + -(-last.size // 512) * 512


@amounts
def test_damaged_shards(examples, tmp_path):
    path, whole = tmp_path / "one.tar", tar(members())

    def check(content):
        path.write_bytes(content)
        found = ended(KIND, lambda: index(tmp_path, tmp_path / "cache"))
        for row in range(len(found) if found else 0):
            assert found.load(row).shape[:2] == found.sizes[row]

    each(2 * examples, damaged(whole) | damaged(whole[:2048]), check)


@amounts
def test_a_kept_listing_of_shards_is_read_or_made_anew(examples, tmp_path):
    (tmp_path / "one.tar").write_bytes(tar(members()))
    right = index(tmp_path, tmp_path / "cache").names
    path = next((tmp_path / "cache").glob("shards-*.json"))
    whole = json.loads(path.read_text())
    odd = st.sampled_from([None, 1, "x", [], {}, [["0.png", -5, 3]], [["0.png", 0, 1 << 60]], [[1, 2, 3]], {"a": 1}])

    def changed(place, value):
        row = list(whole["shards"]["one.tar"])
        row[place] = value
        return json.dumps({"format": 1, "shards": {"one.tar": row}}).encode()

    def check(content):
        path.write_bytes(content)
        found = ended("caches", lambda: index(tmp_path, tmp_path / "cache"))
        assert found is None or set(found.names) <= set(right)

    kinds = st.builds(changed, st.integers(0, 4), odd) | damaged(path.read_bytes()) | st.just(b"[" * 100_000)
    each(examples, kinds, check)


def test_a_shard_without_a_photo_stops_training_with_a_sentence(tmp_path, capsys):
    (tmp_path / "one.tar").write_bytes(tar([("bad.jpg", b"no photo")]))
    words = [f"data.root={tmp_path}", f"data.cache_dir={tmp_path}/cache", f"output_dir={tmp_path}/run", "logger=none"]
    assert main(["train", "in_batch", *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ")
    assert "holds no usable photo" in said[-1]
    assert shards.find_shards(tmp_path)
