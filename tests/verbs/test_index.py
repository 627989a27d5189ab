import csv

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from descriptors import config
from descriptors.data.decoding import decode
from descriptors.data.thumbnails import thumbnail
from descriptors.mining.neighbours import find_candidates, find_neighbours
from descriptors.networks.choice import build_network
from descriptors.weights import save_weights
from tests.verbs import scenes
from tests.verbs.scenes import command

SIDE = 64


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty cuts of real photos, one of them twice a little darker."""
    folder = tmp_path_factory.mktemp("photos")
    sources = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    for number in range(28):
        source, step = sources[number % 4], 18 * (number // 4)
        Image.fromarray(source[step : step + 120, 2 * step : 2 * step + 160]).save(folder / f"{number:02d}.png")
    for name, dark in {"98.png": 0.99, "99.png": 0.98}.items():
        Image.fromarray(np.uint8(dark * decode(folder / "05.png"))).save(folder / name)
    return folder


def index(capsys, folder, output, *words):
    return command(capsys, "index", folder, "--output", output, "--cache", output.parent / "cache", *words)


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@torch.no_grad()
def described(folder, network, side):
    """Global descriptors one by one: the deepest features to the third power, their mean, its third root."""
    rows = []
    for path in sorted(folder.glob("*.png")):
        pixels = torch.from_numpy(thumbnail(decode(path), side)).permute(2, 0, 1)[None].float() / 255
        features = network.encode(pixels)[0].double().clamp_min(1e-6)
        rows.append(((features**3).mean((1, 2)) ** (1 / 3)).numpy())
    return rows


def first_network():
    """The network that training starts with."""
    experiment = config.load("gd_mining")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        return build_network(experiment.network).eval()


def test_the_table_is_that_of_the_loops_and_of_training(photos, tmp_path, capsys):
    status, lines, _ = index(capsys, photos, tmp_path / "table.csv", "--neighbours", "4", "--side", SIDE)
    assert status == 0
    rows = described(photos, first_network(), SIDE)
    names = sorted(path.name for path in photos.glob("*.png"))
    chosen, refused = scenes.neighbours(rows, 4, 99)
    expected = [
        (names[photo], str(rank), names[other], similarity)
        for photo, row in enumerate(chosen)
        for rank, (other, similarity) in enumerate(row, 1)
    ]
    found = read(tmp_path / "table.csv")
    assert [(row["file"], row["rank"], row["neighbour"]) for row in found] == [row[:3] for row in expected]
    np.testing.assert_allclose([float(row["similarity"]) for row in found], [row[3] for row in expected], atol=2e-4)
    left_out = read(tmp_path / "table-left-out.csv")
    assert {(row["file"], row["other"]) for row in left_out} == {(names[i], names[j]) for i, j in refused}
    trained_on = find_neighbours(torch.tensor(np.array(rows)).float(), torch.arange(len(rows)), 4)
    kept = [[other for other in row if other >= 0] for row in trained_on.index.tolist()]
    assert kept == [[other for other, _ in row] for row in chosen]
    assert f"30 photos, {len(expected)} neighbours; 0 photos have none" in lines
    assert "untrained network of gd_mining" in lines[0]


def test_look_alikes_are_left_out_with_the_reason_and_can_be_kept(photos, tmp_path, capsys):
    words = ["--neighbours", "3", "--side", SIDE, "--look-alike-percentile"]
    _, lines, _ = index(capsys, photos, tmp_path / "table.csv", *words, "90")
    left_out = read(tmp_path / "table-left-out.csv")
    pairs = {(row["file"], row["other"]) for row in left_out}
    assert {("05.png", "98.png"), ("05.png", "99.png"), ("98.png", "99.png")} & pairs
    assert all("the 90th percentile: may show the same place" in row["reason"] for row in left_out)
    said = next(line for line in lines if line.startswith("left out"))
    assert said.startswith(f"left out: {len(pairs)} pairs more alike than")
    assert f"{left_out[0]['file']} and {left_out[0]['other']}" in said
    assert [row["similarity"] for row in left_out] == sorted((row["similarity"] for row in left_out), reverse=True)
    found = {(row["file"], row["neighbour"]) for row in read(tmp_path / "table.csv")}
    assert not found & (pairs | {(second, first) for first, second in pairs})
    _, lines, _ = index(capsys, photos, tmp_path / "all.csv", *words, "100")
    assert not any("left out" in line for line in lines)
    assert {row["neighbour"] for row in read(tmp_path / "all.csv") if row["file"] == "05.png"} >= {"98.png", "99.png"}


def test_files_of_one_content_and_broken_ones_are_named(tmp_path, capsys):
    folder = tmp_path / "photos"
    scenes.make_photos(folder)
    (folder / "twin.png").write_bytes((folder / "astronaut.png").read_bytes())
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    Image.new("RGB", (90, 31)).save(folder / "strip.png")
    status, lines, _ = index(capsys, folder, tmp_path / "out" / "table.csv", "--side", SIDE)
    assert status == 0
    reasons = {row["file"]: (row["other"], row["reason"]) for row in read(tmp_path / "out" / "table-left-out.csv")}
    assert reasons["twin.png"] == ("astronaut.png", "the same content")
    assert "cut.jpg" in reasons
    assert "smaller than 32 px" in reasons["strip.png"][1]
    assert "left out: 1 files with the content of another, 2 unreadable or too small" in lines


def test_photos_of_one_sub_folder_can_count_as_one_place(tmp_path, capsys):
    folder = tmp_path / "photos"
    scenes.make_photos(folder)
    (folder / "coffee.jpg").rename(folder / "deep" / "coffee.jpg")
    words = ["--side", SIDE, "--folders-are-scenes", "--look-alike-percentile", "100"]
    _, lines, _ = index(capsys, folder, tmp_path / "table.csv", *words)
    pairs = {(row["file"], row["neighbour"]) for row in read(tmp_path / "table.csv")}
    assert ("deep/coffee.jpg", "deep/rocket.jpg") not in pairs
    assert ("deep/coffee.jpg", "deep/down/cat.png") in pairs
    assert any("the same sub-folder" in line for line in lines)


def test_arrays_hold_what_the_table_holds_and_a_picture_lies_beside_it(photos, tmp_path, capsys):
    for name in ("table.csv", "table.npz"):
        assert index(capsys, photos, tmp_path / name, "--neighbours", "35", "--side", SIDE)[0] == 0
    with np.load(tmp_path / "table.npz") as arrays:
        files, neighbours, similarity = arrays["files"], arrays["neighbours"], arrays["similarity"]
    assert neighbours.shape == similarity.shape == (30, 35)
    rows = [
        (str(files[photo]), str(rank + 1), str(files[neighbours[photo, rank]]), f"{similarity[photo, rank]:.4f}")
        for photo in range(30)
        for rank in range(35)
        if neighbours[photo, rank] >= 0
    ]
    assert rows == [tuple(row.values()) for row in read(tmp_path / "table.csv")]
    assert (np.isnan(similarity) == (neighbours < 0)).all()
    assert Image.open(tmp_path / "table.png").size[0] == 1200


def test_trained_weights_compare_photos_at_the_size_they_were_trained_at(photos, tmp_path, capsys):
    plain = {"name": "compact", "dim": 16, "width": 8, "norm": "instance", "pretrained": "none"}
    torch.manual_seed(3)
    network = build_network(config.load("gd_mining", [f"network.{k}={v}" for k, v in plain.items()]).network).eval()
    card = {"network": plain, "config": {"pairs": {"crop_size": SIDE}}}
    weights = save_weights(network, card, tmp_path / "weights.safetensors")
    words = ["--neighbours", "3", "--look-alike-percentile", "100", "--weights", weights]
    status, lines, _ = index(capsys, photos, tmp_path / "table.csv", *words)
    assert status == 0
    assert lines[0] == f"compared by {weights}, at {SIDE} px"
    chosen, _ = scenes.neighbours(described(photos, network, SIDE), 3, 100)
    names = sorted(path.name for path in photos.glob("*.png"))
    expected = [names[other] for row in chosen for other, _ in row]
    assert [row["neighbour"] for row in read(tmp_path / "table.csv")] == expected


def test_refused_candidates_by_hand():
    # Four directions on a circle around their mean (0, 0): 0, 10, 90 and 200 degrees. Each one's nearest: 0-10 (cos 10
    # = .985) both ways, 90-10 (cos 80 = .174), 200-90 (cos 110 = -.342). The ceiling at 67 % is the third of those
    # four, sorted: index int(.67 x 3) = 2, .985, so nothing is above; at 34 % it is index 1, .174, and 0-10 is refused.
    angle = np.deg2rad([0, 10, 90, 200])
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    weights = np.linalg.lstsq(np.vstack([circle.T, np.ones(4)]), [0, 0, 1], rcond=None)[0]
    rows = torch.tensor(circle * weights[:, None] * 4)
    assert (weights > 0).all()
    assert rows.mean(0).abs().max() < 1e-9
    loose, strict = (find_candidates(rows, torch.arange(4), 1, percentile) for percentile in (67, 34))
    assert not loose.alike.any()
    assert strict.ceiling == pytest.approx(np.cos(np.deg2rad(80)), abs=1e-6)
    assert strict.alike.tolist() == [[True, False], [True, False], [False, False], [False, False]]
    assert loose.index[:, 0].tolist() == [1, 0, 1, 2]
