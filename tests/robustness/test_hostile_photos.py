"""A folder of hostile files through the real commands: each is read rightly or left out with a reason, none crashes."""

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from descriptors.cli import main
from descriptors.data.decoding import MAX_PIXELS, UndecodableError, decode_bytes
from descriptors.data.room import Room
from descriptors.data.sources import index_photos
from tests.robustness import headers, hostile
from tests.robustness.record import record
from tests.test_training import train

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow's of notes, matplotlib's of glyphs

MIN_SIDE = 32
GOOD = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The whole corpus, twelve plain photos, and links, pipes and the like."""
    root = tmp_path_factory.mktemp("hostile")
    hostile.write(root, [*hostile.corpus(), *_good()])
    hostile.write_specials(root)
    return root


def _good():
    return [
        hostile.Hostile(f"good/{seed}.png", hostile.plain(900 + seed, "png"), hostile.photo(900 + seed))
        for seed in range(GOOD)
    ]


def test_each_file_of_a_hostile_folder_is_read_rightly_or_left_out_with_a_reason(tmp_path):
    files, root = [*hostile.corpus(), *_good()], tmp_path / "photos"
    hostile.write(root, files)
    left_out, no_photos = hostile.write_specials(root)
    index = index_photos(root, MIN_SIDE, tmp_path / "cache", progress=False)
    rows = {name: row for row, name in enumerate(index.names)}
    outcome = Counter(_outcome(one, rows, index) for one in files)
    outcome["left out"] += sum(bool(index.skipped[name].strip()) for name in left_out)
    assert not {Path(name).parts[0] for name in (*rows, *index.skipped)} & no_photos
    assert outcome.total() == len(files) + len(left_out) >= 200
    assert set(outcome) == {"read", "left out"}
    record("photo files", inputs_tried=outcome.total(), clear_errors=outcome["left out"], **_ended(outcome["read"]))


def _outcome(one, rows, index):
    if one.name in rows:
        pixels = index.load(rows[one.name])
        assert one.is_open or one.pixels is not None, one.name
        assert pixels.shape[:2] == index.sizes[rows[one.name]]
        assert one.pixels is None or _alike(pixels, one), one.name
        return "read"
    first = index.duplicates.get(one.name)
    if first is not None:
        return "read"
    assert index.skipped[one.name].strip(), one.name
    assert one.is_open or one.pixels is None, one.name
    return "left out"


def _alike(pixels, one):
    """JPEG loses a little, everything else nothing."""
    difference = np.abs(pixels.astype(int) - one.pixels)
    return difference.max() <= (6 if "JFIF" in repr(one.content[:20]) or b"Adobe" in one.content[:40] else 0)


def _ended(read):
    return {"read_rightly": read, "crashes": 0}


@pytest.mark.parametrize("suffix", hostile.FORMATS)
def test_no_bit_flipped_file_raises_anything_but_a_refusal(suffix):
    _flip(suffix, 60)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", hostile.FORMATS)
def test_no_bit_flipped_file_of_many_raises_anything_but_a_refusal(suffix):
    _flip(suffix, 4000)


def _flip(suffix, count):
    generator = np.random.default_rng(len(suffix) + ord(suffix[0]))
    whole, refused = np.frombuffer(hostile.plain(400, suffix), np.uint8), 0
    for number in range(count):
        bits = np.unpackbits(whole)
        reach = min(len(bits), 8 * 64) if number % 2 else len(bits)
        bits[generator.integers(0, reach, generator.integers(1, 30))] ^= 1
        refused += _refused(np.packbits(bits).tobytes()[: generator.integers(1, 2 * len(whole))])
    record("bit-flipped photo files", inputs_tried=count, clear_errors=refused, **_ended(count - refused))


def _refused(content):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of notes
            pixels = decode_bytes(content, "flipped")
    except UndecodableError as error:
        return _is_sentence(str(error)) or pytest.fail(str(error))
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert 0 < pixels.size <= 3 * MAX_PIXELS
    return False


def _is_sentence(said):
    return said.endswith(".") and "\n" not in said and "None" not in said


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded():
    content = headers.scanned(9_400, 9_400, 20_000)  # 200 KB; decoding would take ten minutes
    with pytest.raises(UndecodableError, match="scans"):
        decode_bytes(content + bytes(200_000), "endless.jpg")
    assert decode_bytes(headers.scanned(64, 64, 20), "progressive.jpg").shape == (64, 64, 3)
    assert decode_bytes(headers.scanned(64, 64, 20) + b"\xff\xda\0\2" * 1000, "with-a-film.jpg").shape == (64, 64, 3)


def test_threads_in_a_room_never_hold_more_than_it_has():
    room, held, most = Room(10), [], []

    def enter(needed):
        with room.taking(needed):
            held.append(min(needed, 10))
            most.append(sum(held))
            time.sleep(0.001)
            held.remove(min(needed, 10))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(enter, [3, 4, 11, 1, 0, 10, 6, 5] * 8))
    assert len(most) == 64
    assert 6 < max(most) <= 10


@pytest.mark.slow
def test_photos_near_the_largest_are_indexed_in_bounded_memory(tmp_path):
    """Six photos of 64 megapixels in a few kilobytes each: decoded at once they would take gigabytes."""
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(headers.blank_png(8_000, 8_000, number))
    code = (
        "import resource, sys; from descriptors.data.sources import index_photos; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "index = index_photos(sys.argv[1], 32, sys.argv[1] + '/.cache', progress=False); "
        "print(len(index), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    limit = (12 << 30, resource.RLIM_INFINITY)
    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    ).stdout.split()
    assert said[0] == "6"
    assert int(said[1]) / 1024 < 900, "MB"  # one of them takes about 350


def test_training_on_a_hostile_folder_counts_what_it_left_out_and_names_it_in_the_report(folder, tmp_path):
    assert train("in_batch", tmp_path, f"data.root={folder}", "trainer.max_steps=2") == 0
    dataset = json.loads((tmp_path / "summary.json").read_text())["dataset"]
    assert dataset["photos"] >= GOOD
    assert len(dataset["skipped"]) >= 150
    assert all(reason.strip() for reason in dataset["skipped"].values())
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{len(dataset['skipped'])} file(s) were left out" in report
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in report
    assert "<img src=x onerror" not in report
    assert "<script>alert(1)" not in report
    record("photo files", inputs_tried=1, clear_errors=0, **_ended(1))


def test_extract_describes_what_can_be_read_of_a_hostile_folder(folder, tmp_path, capsys):
    output = tmp_path / "features.h5"
    assert main(["extract", str(folder), "--describer", "rootsift", "--keypoints", "20", "--output", str(output)]) == 0
    assert "unreadable)" in capsys.readouterr().out
    with h5py.File(output) as file:
        assert all(f"good/{number}.png" in file for number in range(GOOD))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_index_compares_what_can_be_read_of_a_hostile_folder(suffix, folder, tmp_path):
    words = ["--neighbours", "3", "--cache", str(tmp_path / "cache"), "--output", str(tmp_path / f"i.{suffix}")]
    assert main(["index", str(folder), *words]) == 0
    assert b"\xff-bad.jpg" in (tmp_path / "i-left-out.csv").read_bytes()


@pytest.mark.slow
def test_stylize_copies_what_can_be_read_of_a_hostile_folder(tmp_path, capsys):
    root = tmp_path / "photos"
    hostile.write(root, [one for one in hostile.corpus() if one.name.startswith(("named/", "foreign/", "declared/"))])
    hostile.write_specials(root)
    copies = tmp_path / "copies"
    assert main(["stylize", str(root), "--output", str(copies), "--style", "night"]) == 0
    assert "unreadable)" in capsys.readouterr().out
    for one in hostile.corpus():
        if one.name.startswith("named/"):
            assert os.path.exists(os.fsencode(copies / one.name)) == (one.pixels is not None), one.name


@pytest.mark.parametrize(
    "name",
    [
        *("pipe.jpg", "device.jpg", "process.jpg", "sparse.jpg", "loop.jpg", "dangling.png", "folder.jpg", "around"),
        *("unusual/nan.tiff", "unusual/dot.png", "foreign/page.jpg", "declared/30000x30000.png", "m" * 300, "n\0o"),
    ],
)
def test_match_refuses_a_bad_photo_with_one_sentence(name, folder, tmp_path, capfd):
    words = [str(folder / name), str(folder / "good/1.png"), "--output", str(tmp_path)]
    assert main(["match", *words]) == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert said[0].endswith(".")
    record("commands on bad photos", inputs_tried=1, clear_errors=1, **_ended(0))


@pytest.mark.parametrize("name", [one.name for one in hostile.corpus() if one.name.startswith("named/")][:22:5])
def test_match_reads_photos_of_any_name(name, folder, tmp_path):
    words = [str(folder / name), str(folder / "good/1.png"), "--keypoints", "60", "--output", str(tmp_path)]
    assert main(["match", *words]) == 0
    assert (tmp_path / "matches.png").stat().st_size > 0
    record("commands on bad photos", inputs_tried=1, clear_errors=0, **_ended(1))
