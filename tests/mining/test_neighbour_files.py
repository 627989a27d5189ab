import logging
from pathlib import Path

import pytest
import torch

from descriptors.mining.neighbour_files import read_table, write_table
from descriptors.mining.neighbours import NeighbourTable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "neighbours-0.pt"


def table(photos=50, count=3):
    return NeighbourTable(torch.arange(photos * count).view(photos, count) % photos, torch.arange(photos), 7)


def test_a_table_comes_back_as_it_was_written_and_leaves_nothing_beside_it(path):
    write_table(path, table())
    found = read_table(path, 50, 3)
    assert torch.equal(found.index, table().index)
    assert torch.equal(found.place, table().place)
    assert found.left_out == 7
    assert list(path.parent.iterdir()) == [path]


def test_a_table_read_is_a_map_of_its_file_and_never_written_back(path):
    write_table(path, table(photos=4000))
    stored = path.read_bytes()
    found = read_table(path, 4000, 3)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or path.name in maps.read_text()  # where there is no such file, nothing can be seen
    found.index.zero_()
    assert path.read_bytes() == stored


def test_a_table_in_use_survives_the_file_that_replaces_it(path):
    write_table(path, table())
    found = read_table(path, 50, 3)
    write_table(path, NeighbourTable(torch.zeros(50, 3, dtype=torch.int64), torch.zeros(50, dtype=torch.int64), 0))
    assert torch.equal(found.index, table().index)


def test_no_table_is_no_warning(path, caplog):
    assert read_table(path, 50, 3) is None
    assert not caplog.records


DAMAGE = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-200]), ""),
    "empty": (lambda path: path.write_bytes(b""), ""),
    "something else": (lambda path: path.write_text("index, place"), ""),
    "a list": (lambda path: torch.save([1, 2], path), ""),
    "of other photos": (lambda path: write_table(path, table(photos=60)), "not of 50 photos x 3"),
    "without places": (lambda path: torch.save({"index": table().index, "left_out": 0}, path), "place"),
    "of floats": (
        lambda path: write_table(path, NeighbourTable(table().index.float(), table().place, 0)),
        "torch.float32 and torch.int64, not int64",
    ),
    "of photos that are not": (
        lambda path: write_table(path, NeighbourTable(table().index + 1, table().place, 0)),
        "none of the 50",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_table_is_said_and_not_used(path, caplog, damage):
    write_table(path, table())
    harm, said = DAMAGE[damage]
    harm(path)
    with caplog.at_level(logging.WARNING):
        assert read_table(path, 50, 3) is None
    assert f"{path} can't be read" in caplog.text
    assert "the neighbour table is built again" in caplog.text
    assert said in caplog.text


def test_a_folder_that_cannot_be_written_is_said(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    write_table(tmp_path / "file" / "neighbours-0.pt", table())
    assert "the next run builds the neighbour table again" in caplog.text
