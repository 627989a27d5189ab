"""What notebooks call: pairs of chosen photos, negatives of a chosen keypoint, runs side by side, matched photos."""

import math

import numpy as np
import pytest
import torch

from descriptors import explore
from descriptors.evaluation.homography.measures import corner_error_px
from tests.test_training import SMALL

SMALL_PAIRS = ("pairs.crop_size=64", "data.photo_size=80", "pairs.keypoints.count=24")


@pytest.fixture(scope="module")
def pairs(photo_folder):
    return explore.PairMaker(photo_folder, *SMALL_PAIRS)


@pytest.fixture(scope="module")
def runs_folder(photo_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    words = [*SMALL, f"data.root={photo_folder}", f"data.cache_dir={root}/cache", "trainer.max_steps=3"]
    for experiment in ("gd_mining", "in_pair"):
        explore.train(experiment, *words, "validation.every_steps=2", into=root)
    return root


@pytest.fixture(scope="module")
def mined(runs_folder):
    gd_mining, _ = explore.finished_runs(runs_folder)
    return explore.mine(gd_mining.folder, top_k=5)


def test_the_same_draw_in_another_colour_keeps_places_and_homography(pairs):
    plain = pairs([3, 1], "pairs.photometric.preset=none", "pairs.stylization.method=none")
    coloured = pairs([3, 1], "pairs.photometric.preset=strong")
    assert plain.anchor.image.tolist() == [3, 1]
    assert torch.equal(plain.anchor.xy, coloured.anchor.xy)
    assert torch.equal(plain.homography, coloured.homography)
    assert not torch.equal(plain.positive.pixels, coloured.positive.pixels)


def test_another_draw_is_another_pair_and_the_same_draw_the_same(pairs):
    assert torch.equal(pairs([0], draw=1).anchor.pixels, pairs([0], draw=1).anchor.pixels)
    assert not torch.equal(pairs([0], draw=1).homography, pairs([0], draw=2).homography)


@pytest.mark.parametrize(
    ("photos", "said"), [([99], "photo 99 does not exist"), ([-1], "photo -1"), ([], "no photo was named")]
)
def test_photos_that_are_not_there_are_refused_with_those_that_are(pairs, photos, said):
    with pytest.raises(ValueError, match=f"{said}.*0 to {len(pairs) - 1}"):
        pairs(photos)


def test_a_wrong_word_is_answered_with_the_nearest_right_one(pairs):
    with pytest.raises(ValueError, match=r"did you mean 'pairs\.photometric\.strength'"):
        pairs([0], "pairs.photometric.strenght=1")


def test_training_from_a_notebook_says_where_it_is_and_leaves_logging_as_it_was(photo_folder, tmp_path, capsys):
    import logging

    log = logging.getLogger("descriptors")
    before = (list(log.handlers), log.level)
    words = [*SMALL, f"data.root={photo_folder}", f"data.cache_dir={tmp_path}/cache", "trainer.max_steps=1"]
    folder = explore.train("in_batch", *words, into=tmp_path)
    assert folder.parent == tmp_path / "in_batch"
    assert (folder / "weights.safetensors").is_file()
    assert "step 1 of 1: validation AP" in capsys.readouterr().out
    assert (log.handlers, log.level) == before


def test_each_space_holds_only_its_own_negatives(mined):
    query, pool = mined.query, mined.pool
    retrieved = pool.xy[:, 0].isnan()
    assert retrieved.any()
    for name, found in mined.spaces.items():
        for anchor, column in found.valid.nonzero().tolist():
            at = int(found.index[anchor, column])
            same = bool(pool.image[at] == query.image[anchor])
            assert pool.keypoint[at] != query.keypoint[anchor]
            assert bool(retrieved[at]) == (name == "retrieved")
            assert same == (name == "in the pair")
            if same:
                assert (pool.xy[at] - query.xy[anchor]).norm() >= 6


def test_the_hardest_come_first_and_the_margin_is_to_the_hardest_of_all(mined):
    assert mined.usable.any()
    for anchor in range(len(mined.query.valid)):
        if not mined.usable[anchor]:
            assert math.isnan(float(mined.margin[anchor]))
            continue
        rows = [values[anchor][~values[anchor].isnan()] for values in mined.similarity.values()]
        assert all(torch.all(row[:-1] >= row[1:] - 1e-6) for row in rows)
        own = (mined.pool.keypoint == mined.query.keypoint[anchor]).nonzero()[0, 0]
        positive = float(mined.query.descriptor[anchor] @ mined.pool.descriptor[own])
        assert float(mined.margin[anchor]) == pytest.approx(positive - max(float(row[0]) for row in rows), abs=1e-5)


def test_anchors_are_the_usable_ones_with_the_smallest_margin_first(mined):
    margins = mined.margin[mined.anchors()]
    assert len(margins) == int(mined.usable.sum())
    assert torch.all(margins[:-1] <= margins[1:])


def test_the_untrained_network_is_the_one_the_run_began_with(runs_folder, mined):
    folder = explore.finished_runs(runs_folder)[0].folder
    before = explore.mine(folder, trained=False, top_k=5)
    assert torch.equal(before.batch.anchor.xy, mined.batch.anchor.xy)
    assert not torch.equal(before.query.descriptor, mined.query.descriptor)


def test_a_run_that_names_code_is_opened_only_if_allowed(runs_folder, tmp_path):
    folder = explore.finished_runs(runs_folder)[0].folder
    text = (folder / "config.yaml").read_text().replace("name: retrieval", "name: evil.module:Miner")
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"miner\.name = 'evil\.module:Miner', code that would be .*allow_imports"):
        explore.mine(tmp_path)
    with pytest.raises(ValueError, match=r"'evil\.module:Miner' can't be imported"):
        explore.mine(tmp_path, allow_imports=True)


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.yaml, so it is no run folder"):
        explore.mine(tmp_path)


def test_figures_of_negatives_are_drawn(mined):
    for figure in (mined.figure(mined.anchors()[0]), mined.hardness()):
        assert figure.axes
    words = [text.get_text() for text in mined.figure(mined.anchors()[0]).axes[0].texts]
    assert {"in the pair", "in the batch", "retrieved"} <= set(words)


def test_finished_runs_come_in_the_order_they_ended_and_unfinished_ones_do_not(runs_folder):
    (runs_folder / "half").mkdir(exist_ok=True)
    (runs_folder / "half" / "weights.safetensors").touch()
    assert [run.name for run in explore.finished_runs(runs_folder)] == ["gd_mining", "in_pair"]
    assert [run.name for run in explore.finished_runs(runs_folder, newest=2)][-1] == "in_pair"
    assert explore.finished_runs(runs_folder / "nothing") == []


def test_the_table_shows_the_settings_that_differ_and_the_intervals(runs_folder):
    runs = explore.finished_runs(runs_folder)
    head, _, *lines = explore.table(runs).splitlines()
    assert "miner.name" in head
    assert "seed" not in head
    assert "output_dir" not in head
    assert [line.split(" | ")[0] for line in lines] == ["| gd_mining", "| in_pair"]
    assert "retrieval" in lines[0]
    for run, line in zip(runs, lines, strict=True):
        trained = run.record.summary["trained"]
        assert "{ap:.3f} [{low:.3f}, {high:.3f}]".format(**trained) in line
    place = head.strip("| ").split(" | ").index("minus the first's, same pairs")
    assert lines[0].strip("| ").split(" | ")[place] == "-"
    assert lines[1].strip("| ").split(" | ")[place].startswith(f"{_gain(*runs):+.3f} [")


def _gain(first, second):
    return second.record.summary["trained"]["ap"] - first.record.summary["trained"]["ap"]


def test_curves_have_a_line_a_run_and_a_band(runs_folder):
    runs = explore.finished_runs(runs_folder)
    average, *_ = explore.curves_figure(runs).axes
    labels = average.get_legend_handles_labels()[1]
    assert {"gd_mining", "in_pair", "gd_mining, 95% interval"} <= set(labels)
    assert explore.hardness_curves(runs[0]).axes[0].lines


@pytest.mark.slow
def test_runs_and_baselines_are_measured_on_the_same_pairs(runs_folder):
    runs = explore.finished_runs(runs_folder)
    rows = explore.mma(runs)
    assert {row.describer for row in rows} == {"gd_mining", "in_pair", "rootsift"}
    assert len({row.counts["keypoints"] for row in rows if row.set == "viewpoint"}) == 1
    assert len(explore.mma_figure(rows).axes) == 3
    last = explore.table(runs, rows).splitlines()[-1]
    assert last.startswith("| rootsift | - ")
    assert last.count("[") == 2  # of viewpoint and illumination; one stereo pair has no interval
    assert last.count("(one pair)") == 1


def test_matches_of_a_warped_photograph_follow_its_homography():
    photos = explore.example_photos("coffee/paper view")
    ours, rootsift = explore.match_photos(photos, keypoints=300)
    known = _true_homography("coffee/paper view")
    height, width = photos[0].shape[:2]
    assert corner_error_px(rootsift.homography, known, width, height) < 3
    assert rootsift.inlier.sum() > 3 * rootsift.by_chance
    assert ours.describer == "in_batch_full"
    assert all(np.array_equal(one, two) for one, two in zip(ours.keypoints, rootsift.keypoints, strict=True))
    for figure in (
        explore.keypoints_figure(photos, ours),
        explore.matches_figure(photos, [ours, rootsift]),
        explore.overlay(photos, rootsift),
    ):
        assert figure.axes


def test_photos_without_a_common_homography_say_so_and_can_be_drawn():
    photos = (explore.example_photos()[0], np.full((64, 80, 3), 128, np.uint8))
    (match,) = explore.match_photos(photos, ["rootsift"], keypoints=50)
    assert match.homography is None
    assert match.says == "0 matches, 0 agree on one homography; by chance 0"
    assert explore.overlay(photos, match).axes
    assert explore.matches_figure(photos, [match]).axes


def test_photos_of_ones_own_are_opened_upright_and_shrunk(photo_folder, tmp_path):
    first, second = sorted(photo_folder.glob("*.png"))[:2]
    one, two = explore.open_photos(first, second, max_side=56)
    assert one.shape == two.shape == (48, 56, 3)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        explore.open_photos(first, tmp_path / "broken.jpg")


def test_wrong_names_are_answered_with_what_there_is():
    with pytest.raises(ValueError, match="unknown pair 'coffee/milk'; there are china/paper view"):
        explore.example_photos("coffee/milk")
    with pytest.raises(ValueError, match="unknown describer 'rootsfit'"):
        explore.match_photos(explore.example_photos(), ["rootsfit"])


def _true_homography(name):
    from descriptors.evaluation.bundled.pairs import recipes

    return next(recipe for recipe in recipes() if recipe.name == name).make(480).homography
