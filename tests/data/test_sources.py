"""A text file of paths and .tar shards are photos like those of a folder, with the same pixels and the same errors."""

import io
import logging
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from descriptors.data import indexing, shards
from descriptors.data.decoding import Span, UndecodableError, read
from descriptors.data.loading import PhotoLoader
from descriptors.data.photos import PhotoDataset
from descriptors.data.sources import index_photos
from tests.data.pictures import encoded, noise

SIX = {f"{letter}.png": (40, 60) for letter in "abcdef"}


def indexed(root, min_side=1, **options):
    return index_photos(root, min_side, root.parent / "cache", progress=False, **options)


def png(seed, size=(30, 40)):
    return encoded(Image.fromarray(noise(size, seed)), "PNG")


def shard(path, members):
    """A tar of {name: bytes}."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def same_samples(first, second):
    one, other = PhotoDataset(first, 32, seed=1), PhotoDataset(second, 32, seed=1)
    return all(one[2, photo].pixels.equal(other[2, photo].pixels) for photo in range(len(first)))


# --- a text file of paths -----------------------------------------------------------------------------------------


def test_a_list_names_photos_relative_to_itself_or_absolute_in_its_own_order(photo_folder, tmp_path):
    root = photo_folder(SIX)
    lines = ["# the best ones", "photos/c.png", "", f"  {root}/a.png  ", "./photos/b.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    index = indexed(tmp_path / "list.txt")
    assert index.names == ("photos/c.png", f"{root}/a.png", "photos/b.png")
    for photo, seed in enumerate((2, 0, 1)):
        np.testing.assert_array_equal(index.load(photo), noise((40, 60), seed))
    assert indexed(tmp_path / "list.txt") == index


def test_a_list_of_all_photos_gives_the_samples_of_their_folder(photo_folder, tmp_path):
    root = photo_folder(SIX)
    (tmp_path / "list.txt").write_text("".join(f"photos/{name}\n" for name in SIX))
    folder, listed = indexed(root), indexed(tmp_path / "list.txt")
    assert folder.hashes == listed.hashes
    assert same_samples(folder, listed)


def test_what_a_list_names_and_cannot_be_read_is_left_out_and_counted(photo_folder, tmp_path, caplog):
    photo_folder(SIX)
    os.mkfifo(tmp_path / "pipe.png")
    lines = ["photos/a.png", "photos/missing.png", "photos", "pipe.png", "null\0.png", "photos/a.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    index = indexed(tmp_path / "list.txt")
    assert index.names == ("photos/a.png",)
    assert index.skipped.keys() == {"photos/missing.png", "photos", "pipe.png", "null\0.png"}
    assert "no regular file" in index.skipped["pipe.png"]
    assert "No such file" in index.skipped["photos/missing.png"]
    assert "1 line(s) repeat a path" in caplog.text


def test_folders_of_listed_photos_are_scenes_if_asked_for(photo_folder, tmp_path):
    photo_folder(dict.fromkeys(["x/1.png", "x/2.png", "y/1.png"], (20, 20)))
    (tmp_path / "list.txt").write_text("photos/x/1.png\nphotos/y/1.png\nphotos/x/2.png")
    assert indexed(tmp_path / "list.txt", folders_are_scenes=True).scenes == (0, 1, 0)


def test_a_list_without_a_photo_and_a_file_that_is_no_list_are_refused(tmp_path):
    (tmp_path / "list.txt").write_text("# nothing\n\n")
    with pytest.raises(ValueError, match=r"The photo list '.*list\.txt' holds no photo; found 2 lines, no path"):
        indexed(tmp_path / "list.txt")
    (tmp_path / "list.bin").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match=r"no text that lists photos; name a folder"):
        indexed(tmp_path / "list.bin")
    with pytest.raises(ValueError, match=r"'.*missing\.txt' does not exist"):
        indexed(tmp_path / "missing.txt")
    (tmp_path / "one.jpg").touch()
    with pytest.raises(ValueError, match=r"one\.jpg' is a file"):
        indexed(tmp_path / "one.jpg")


# --- shards -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path):
    """Eight photos with labels in two shards."""
    root = tmp_path / "shards"
    for number in (0, 1):
        photos = {f"{number}/{seed}.png": png(4 * number + seed) for seed in range(4)}
        labels = {f"{number}/{seed}.cls": b"7" for seed in range(4)}
        shard(root / f"shard-{number:06d}.tar", dict(sorted((photos | labels).items())))
    return root


def test_photos_in_shards_are_named_by_shard_and_member_and_read_in_place(sharded, monkeypatch):
    monkeypatch.setattr(tarfile.TarFile, "extractfile", None)
    index = indexed(sharded)
    assert index.names == tuple(f"shard-00000{number}/{number}/{seed}.png" for number in (0, 1) for seed in range(4))
    for photo in range(8):
        np.testing.assert_array_equal(index.load(photo), noise((30, 40), photo))
    assert sorted(path.name for path in sharded.iterdir()) == ["shard-000000.tar", "shard-000001.tar"]


def test_shards_give_the_samples_of_a_folder_with_their_members(sharded, tmp_path):
    for path in sharded.iterdir():
        with tarfile.open(path) as tar:
            tar.extractall(tmp_path / "extracted" / path.stem, filter="data")
    folder = index_photos(tmp_path / "extracted", 1, tmp_path / "cache", progress=False)
    assert folder.names == indexed(sharded).names
    assert folder.hashes == indexed(sharded).hashes
    assert same_samples(folder, indexed(sharded))


def test_one_shard_alone_can_be_named(sharded):
    assert len(indexed(sharded / "shard-000001.tar")) == 4


def test_a_second_start_reads_no_header_and_decodes_nothing_but_a_changed_shard_anew(sharded, monkeypatch):
    first = indexed(sharded)
    listed, decoded = [], []
    list_shard, decode_bytes = shards.list_shard, indexing.decode_bytes
    monkeypatch.setattr(shards, "list_shard", lambda path: listed.append(path.name) or list_shard(path))
    monkeypatch.setattr(indexing, "decode_bytes", lambda *given: decoded.append(0) or decode_bytes(*given))
    assert indexed(sharded) == first
    assert (listed, decoded) == ([], [])
    shard(sharded / "shard-000001.tar", {"new.png": png(9)})
    assert indexed(sharded).names == (*first.names[:4], "shard-000001/new.png")
    assert (listed, len(decoded)) == (["shard-000001.tar"], 1)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 0}', '{"format": 1, "shards": {"shard-000000.tar": 3}}'])
def test_a_corrupt_listing_is_made_anew_with_a_message(sharded, caplog, content):
    first = indexed(sharded)
    (listing,) = (sharded.parent / "cache").glob("shards-*")
    listing.write_text(content)
    assert indexed(sharded) == first
    assert "made anew" in caplog.text


def test_hostile_members_are_left_out_and_counted_and_the_rest_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_BYTES", 100_000)
    root = tmp_path / "shards"
    root.mkdir()
    with tarfile.open(root / "s.tar", "w") as tar:

        def add(name, content=b"", **fields):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content))

        add("good.png", png(0))
        add("/etc/absolute.png", png(1))
        add("../../upward.png", png(2))
        add("link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add("hard.png", type=tarfile.LNKTYPE, linkname="good.png")
        add("pipe.png", type=tarfile.FIFOTYPE)
        add("device.png", type=tarfile.CHRTYPE)
        add("folder.png", type=tarfile.DIRTYPE)
        add("huge.png", bytes(100_001))
        add("good.png", png(3))
        add("broken.png", b"no picture")
        add("label.json", b"{}")
        add("last.png", png(4))
    index = indexed(root)
    assert index.names == ("s/good.png", "s/last.png")
    np.testing.assert_array_equal(index.load(0), noise((30, 40), 0))
    why = {name.removeprefix("s/"): reason for name, reason in index.skipped.items()}
    assert why.keys() == {
        "/etc/absolute.png", "../../upward.png", "link.png", "hard.png", "pipe.png", "device.png", "huge.png",
        "good.png (again)", "broken.png",
    }  # fmt: skip
    assert why["/etc/absolute.png"] == why["../../upward.png"] == "its path leads out of the shard"
    assert why["hard.png"] == why["pipe.png"] == "it is a link, a device or a sparse file"


@pytest.mark.parametrize("cut", ["in a photo", "in a header", "garbage"])
def test_a_damaged_shard_gives_what_is_whole_and_says_that_the_rest_is_not(tmp_path, cut):
    path = shard(tmp_path / "shards" / "s.tar", {f"{seed}.png": png(seed) for seed in range(3)})
    data = path.read_bytes()
    starts = [start for _, start, _ in shards.list_shard(path).members]
    data = {
        "in a photo": data[: starts[2] + 100],
        "in a header": data[: starts[2] - 100],
        "garbage": data[: starts[2] - 512] + b"x" * 4096,
    }[cut]
    path.write_bytes(data)
    index = indexed(tmp_path / "shards")
    assert index.names == ("s/0.png", "s/1.png")
    assert len(index.skipped) >= 1


def test_a_compressed_tar_is_refused(tmp_path):
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "s.tar", "w:gz") as tar:
        tar.add(__file__, "a.png")
    with pytest.raises(ValueError, match=r"The photo shards of .* holds no usable photo.*no plain tar"):
        indexed(tmp_path / "shards")


def test_shards_of_labels_alone_are_refused_with_what_is_there(tmp_path):
    shard(tmp_path / "shards" / "s.tar", {"a.json": b"{}", "b.json": b"{}"})
    with pytest.raises(ValueError, match=r"holds no photo; found 1 \.tar file\(s\) with 2 other members"):
        indexed(tmp_path / "shards")


def test_beside_photos_shards_are_not_read_and_that_is_said(photo_folder, caplog):
    root = photo_folder(SIX)
    shard(root / "s.tar", {"x.png": png(9)})
    with caplog.at_level(logging.WARNING):
        assert len(indexed(root)) == 6
    assert "1 .tar file(s); the .tar files are not read" in caplog.text


def test_a_shard_that_changed_after_indexing_is_named(sharded):
    index = indexed(sharded)
    (sharded / "shard-000000.tar").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"Photo 'shard-000000/0/0\.png' changed after .* it ends before"):
        PhotoLoader(index)(0)
    with pytest.raises(UndecodableError, match="ends before the 9 bytes from 3 on"):
        read(sharded / "shard-000000.tar", Span(3, 9))
