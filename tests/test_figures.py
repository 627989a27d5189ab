"""What the pictures of a run promise: they render whatever a batch holds, and show what it holds."""

import dataclasses
import math

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from descriptors.batch import PAST, Crops, Described, Negatives, PairBatch
from descriptors.figures import (
    Curve,
    Matches,
    Panel,
    curves_figure,
    draw_history,
    hardness_figure,
    matches_figure,
    negatives_figure,
    neighbours_figure,
    pairs_figure,
    read_history,
    save,
    sources_figure,
    throughput_figure,
    to_array,
)
from descriptors.figures.canvas import GREEN, GREY, INK, SOURCES
from descriptors.figures.curves import running_mean
from descriptors.figures.negatives import _patch, _spread

SIDE = 40
FAR_AWAY = 10_000  # a keypoint id of no crop in the batch
FRAMES = {"own_pair": SOURCES["own_pair"][1], "batch": SOURCES["batch"][1], "neighbour": SOURCES["neighbour"][1]}


def make_crops(photos, slots, first_image=0, first_keypoint=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Crops(
        pixels=torch.rand(photos, 3, SIDE, SIDE, generator=generator),
        image=torch.arange(photos) + first_image,
        xy=torch.rand(photos, slots, 2, generator=generator) * (SIDE - 1),
        keypoint=torch.arange(photos * slots).view(photos, slots) + first_keypoint,
        valid=torch.ones(photos, slots, dtype=torch.bool),
    )


def make_batch(photos=3, slots=5, neighbours=True):
    anchor, positive = make_crops(photos, slots, seed=1), make_crops(photos, slots, seed=2)
    neighbour = make_crops(photos, slots, first_image=100, first_keypoint=1000, seed=3) if neighbours else None
    return PairBatch(anchor, positive, neighbour, torch.eye(3).repeat(photos, 1, 1), {})


def without_keypoints(batch):
    def emptied(crops):
        return dataclasses.replace(crops, valid=torch.zeros_like(crops.valid))

    return dataclasses.replace(batch, anchor=emptied(batch.anchor), positive=emptied(batch.positive))


def describe(crops, seed):
    photos, slots = crops.keypoint.shape
    descriptor = torch.randn(photos * slots, 8, generator=torch.Generator().manual_seed(seed))
    unit = F.normalize(descriptor, dim=1)
    image = crops.image.repeat_interleave(slots)
    return Described(unit, image, crops.keypoint.flatten(), crops.xy.flatten(0, 1), crops.valid.flatten())


def join(*parts):
    return Described(*(torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Described)))


def make_mined(batch, k):
    query = describe(batch.anchor, 4)
    pool = describe(batch.positive, 5)
    if batch.neighbour is not None:
        pool = join(pool, describe(batch.neighbour, 6))
    allowed = (query.keypoint[:, None] != pool.keypoint) & pool.valid
    k = min(k, len(pool.valid))
    top = (query.descriptor @ pool.descriptor.T).masked_fill(~allowed, -torch.inf).topk(k)
    valid = top.values.isfinite() & query.valid[:, None]
    return query, pool, Negatives(top.indices.masked_fill(~valid, 0), valid)


def pictures(figure):
    return [image for axes in figure.axes for image in axes.images]


def words(figure):
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " ".join(texts + [axes.get_title(loc="left") for axes in figure.axes])


def frames(figure):
    """Edge colours of the frames around pictures (those of the legend are 14 px wide)."""
    boxes = [patch for patch in figure.axes[0].patches if not patch.get_fill() and patch.get_width() > 14]
    return [matplotlib_hex(patch.get_edgecolor()) for patch in boxes if patch.get_visible()]


def matplotlib_hex(colour):
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def renders(figure):
    pixels = to_array(figure)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert pixels.std() > 0, "the figure is blank"
    return pixels


def test_a_saved_figure_is_the_png_of_its_array(tmp_path):
    figure = throughput_figure({"network": 3.0, "loss": 1.0})
    path = save(figure, tmp_path / "new" / "throughput.png")
    image = PIL.Image.open(path)
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), to_array(figure))
    assert 1150 <= image.size[0] <= 1250


def test_figures_leave_pyplot_alone():
    import matplotlib.pyplot as plt

    plt.close("all")
    renders(pairs_figure(make_batch(1, 2)))
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("neighbours", "a_pair"), [(False, 2), (True, 3)])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_pairs_show_every_crop_of_the_first_rows(neighbours, a_pair, rows):
    figure = pairs_figure(make_batch(3, 5, neighbours), rows=rows)
    renders(figure)
    assert len(pictures(figure)) == a_pair * min(rows, 3)


def test_a_keypoint_has_one_colour_in_anchor_and_positive():
    figure = pairs_figure(make_batch(1, 6, neighbours=False))
    anchor, positive = (c for c in figure.axes[0].collections if isinstance(c, PathCollection))
    np.testing.assert_array_equal(anchor.get_facecolors(), positive.get_facecolors())
    assert len(np.unique(anchor.get_facecolors(), axis=0)) == 6


def test_the_first_pixels_centre_is_drawn_half_a_pixel_inside_the_crop():
    batch = make_batch(1, 1, neighbours=False)
    batch.anchor.xy.zero_()
    axes = pairs_figure(batch).axes[0]
    left, right, _, top = axes.images[0].get_extent()
    pixel = (right - left) / SIDE
    keypoint = axes.collections[0].get_offsets()[0]
    np.testing.assert_allclose(keypoint, [left + pixel / 2, top + pixel / 2])


def test_lines_join_at_most_as_many_keypoints_as_there_are():
    figure = pairs_figure(make_batch(1, 5, neighbours=False), lines=50)
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert sum(len(c.get_segments()) for c in lines) == 5


@pytest.mark.parametrize("neighbours", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 0), (2, 3)])
def test_pairs_render_without_a_valid_keypoint(shape, neighbours):
    renders(pairs_figure(without_keypoints(make_batch(*shape, neighbours)), lines=4))


def test_pairs_say_which_photo_has_no_neighbour():
    batch = make_batch(2)
    batch.neighbour.image[1] = -1
    batch.neighbour.valid[1] = False
    assert words(pairs_figure(batch)).count("no neighbour") == 1


def test_negatives_show_anchor_positive_and_the_negatives_asked_for():
    batch = make_batch(3, 5)
    figure = negatives_figure(batch, *make_mined(batch, 6), anchors=4, shown=3)
    renders(figure)
    assert len(pictures(figure)) == 4 * (2 + 3)


def test_a_frame_tells_where_a_negative_comes_from():
    batch = make_batch(2, 2)
    query = describe(batch.anchor, 4)
    other_rank = dataclasses.replace(describe(make_crops(1, 1, 50, FAR_AWAY), 7), xy=torch.zeros(1, 2))
    past = dataclasses.replace(describe(make_crops(1, 1, 50, PAST), 8), xy=torch.full((1, 2), torch.nan))
    pool = join(describe(batch.positive, 5), describe(batch.neighbour, 6), other_rank, past)
    chosen = [1, 2, 4, 8, 9]  # own crop, other photo, neighbour, other rank, past batch: for anchor 0 only
    valid = torch.zeros(4, 5, dtype=torch.bool)
    valid[0] = True
    figure = negatives_figure(batch, query, pool, Negatives(torch.tensor([chosen] * 4), valid))
    by_similarity = (pool.descriptor[chosen] @ query.descriptor[0]).argsort(descending=True)
    expected = [[*FRAMES.values(), GREY, SOURCES["queue"][1]][i] for i in by_similarity.tolist()]
    assert frames(figure) == [INK, GREEN, *expected]
    assert "on another\nrank" in words(figure)
    assert "of a past\nbatch" in words(figure)
    assert len(pictures(figure)) == 5


def test_pixels_of_a_negative_are_found_by_id_not_by_position():
    batch = make_batch(2, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    query, pool, negatives = make_mined(batch, 4)
    shuffled = Described(*(getattr(pool, f.name)[order] for f in dataclasses.fields(Described)))
    moved = Negatives(order.argsort()[negatives.index], negatives.valid)
    expected = to_array(negatives_figure(batch, query, pool, negatives))
    np.testing.assert_array_equal(to_array(negatives_figure(batch, query, shuffled, moved)), expected)


def test_fewer_negatives_than_asked_for_leave_no_picture():
    batch = make_batch(1, 3, neighbours=False)
    figure = negatives_figure(batch, *make_mined(batch, 20), anchors=9, shown=30)
    renders(figure)
    assert len(pictures(figure)) == 3 * (2 + 2)


@pytest.mark.parametrize("shape", [(1, 1), (2, 0), (2, 3)])
def test_negatives_say_when_no_anchor_has_one(shape):
    batch = without_keypoints(make_batch(*shape, neighbours=False))
    figure = negatives_figure(batch, *make_mined(batch, 4))
    renders(figure)
    assert "No anchor" in words(figure)


def test_negatives_refuse_a_query_of_another_batch():
    batch = make_batch(2, 3)
    query, pool, negatives = make_mined(make_batch(1, 3), 4)
    with pytest.raises(ValueError, match="3 query rows for \\(2, 3\\) anchor slots"):
        negatives_figure(batch, query, pool, negatives)


def test_anchors_are_spread_over_crops_before_places():
    crops = make_crops(4, 10)
    rows = _spread(crops, torch.ones(40, dtype=torch.bool), 4)
    assert sorted(row // 10 for row in rows) == [0, 1, 2, 3]


def test_only_usable_anchors_are_shown_and_each_once():
    usable = torch.arange(40) % 3 == 0
    rows = _spread(make_crops(4, 10), usable, 100)
    assert rows == usable.nonzero()[:, 0].tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.floats(-3, 12), st.floats(-3, 9))
def test_a_patch_is_the_bilinear_neighbourhood_of_its_keypoint(side, x, y):
    pixels = torch.rand(1, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    xy = torch.tensor([[[x, y]]])
    one = torch.zeros(1, 1, dtype=torch.long)
    patch = _patch(Crops(pixels, one[0], xy, one, one == 0), (0, 0), side)
    x, y = xy[0, 0].double().tolist()
    expected = slow_patch(pixels[0].double().numpy(), x, y, side)
    np.testing.assert_allclose(patch, expected * 255, atol=0.6)


def slow_patch(pixels, x, y, side):
    def value(channel, row, column):
        inside = 0 <= row < pixels.shape[1] and 0 <= column < pixels.shape[2]
        return pixels[channel, row, column] if inside else 0.8

    patch = np.zeros((side, side, 3))
    for i, j, channel in np.ndindex(patch.shape):
        v, u = y + i - (side - 1) / 2, x + j - (side - 1) / 2
        top, left = math.floor(v), math.floor(u)
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            patch[i, j, channel] += (1 - abs(v - row)) * (1 - abs(u - column)) * value(channel, row, column)
    return patch


def photo(height=30, width=40):
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_neighbours_show_the_photo_and_its_first_ones():
    figure = neighbours_figure(
        [photo(), photo(50, 20)], [[photo()] * 7, [photo()] * 2], [[0.5] * 7, [0.25] * 2], shown=5
    )
    renders(figure)
    assert len(pictures(figure)) == (1 + 5) + (1 + 2)
    assert words(figure).count("0.50") == 5


@pytest.mark.parametrize("neighbours", [[], [[]]])
def test_neighbours_render_for_no_photo_and_for_a_photo_without_any(neighbours):
    figure = neighbours_figure([photo()] * len(neighbours), neighbours)
    renders(figure)
    assert words(figure).count("no neighbour") == len(neighbours)


def test_neighbours_refuse_lists_of_other_lengths():
    with pytest.raises(ValueError, match="2 photos but 1 lists"):
        neighbours_figure([photo()] * 2, [[]])


def make_matches(index, correct):
    xy = torch.rand(len(index), 2, generator=torch.Generator().manual_seed(0)) * 30
    return Matches(xy, xy, torch.tensor(index, dtype=torch.long), torch.tensor(correct, dtype=torch.bool))


def test_matches_count_what_is_right_above_and_below():
    before, after = make_matches([1, -1, 2], [False, True, True]), make_matches([0, 1, 2], [True] * 3)
    figure = matches_figure(torch.rand(3, 32, 32), torch.rand(3, 32, 48), before, after, "photo 7")
    renders(figure)
    assert len(pictures(figure)) == 4
    assert "photo 7" in words(figure)
    assert "Untrained: 1 of 2 matches are right (50%)" in words(figure)
    assert "Trained: 3 of 3 matches are right (100%)" in words(figure)
    lines = [len(c.get_segments()) for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert lines == [1, 1, 0, 3]  # wrong, right above; wrong, right below


@pytest.mark.parametrize("index", [[], [-1, -1]])
def test_matches_say_when_there_are_none(index):
    nothing = make_matches(index, [False] * len(index))
    figure = matches_figure(torch.rand(3, 32, 32), torch.rand(3, 32, 32), nothing, nothing)
    renders(figure)
    assert words(figure).count("no mutual match") == 2


def test_curves_have_axes_for_each_panel_and_a_line_for_the_untrained():
    steps = [1, 2, 3]
    band = Curve(steps, [0.1, 0.2, 0.3], [0.0, 0.1, 0.2], [0.2, 0.3, 0.4])
    panels = [Panel("loss", {"loss": Curve(steps, [3, 2, 1])}), Panel("AP", {"trained": band}, {"trained": 0.05})]
    figure = curves_figure(panels)
    renders(figure)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "AP"]
    assert len(figure.axes[1].collections) == 1
    assert any(np.allclose(line.get_ydata(), 0.05) for line in figure.axes[1].lines if len(line.get_ydata()))


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_a_curve_without_a_value_says_so(values):
    figure = curves_figure([Panel("loss", {"loss": Curve(list(range(len(values))), values)})])
    renders(figure)
    assert "not recorded" in words(figure)


def test_no_panels_and_many_panels_render():
    renders(throughput_figure({}))
    assert len(curves_figure([Panel(str(i), {"a": Curve([1], [i])}) for i in range(4)]).axes) == 6
    assert isinstance(curves_figure([]), Figure)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5) | st.just(math.nan), min_size=1, max_size=40), st.integers(0, 50))
def test_the_running_mean_is_the_mean_of_the_finite_values_around(values, window):
    reach = window // 2
    around = [[v for v in values[max(i - reach, 0) : i + reach + 1] if math.isfinite(v)] for i in range(len(values))]
    expected = [sum(found) / len(found) if found else math.nan for found in around]
    np.testing.assert_allclose(running_mean(np.array(values), window), expected, atol=1e-9)


def test_hardness_counts_the_anchors_whose_positive_wins():
    positive = torch.tensor([0.9, 0.5, 0.8, 0.7])
    hardest = torch.tensor([0.4, 0.6, 0.1, math.nan])
    figure = hardness_figure(positive, hardest, torch.rand(4, 20))
    renders(figure)
    assert "67% of 3 anchors" in words(figure)


def test_hardness_renders_without_any_anchor_and_refuses_unequal_ones():
    figure = hardness_figure(torch.zeros(0), torch.zeros(0), torch.zeros(0, 5))
    renders(figure)
    assert "no similarities recorded" in words(figure)
    with pytest.raises(ValueError, match="nan where an anchor has no negative"):
        hardness_figure(torch.zeros(3), torch.zeros(2), torch.zeros(0))


@pytest.mark.parametrize("steps", [[10], [10, 20, 30]])
def test_sources_stack_to_everything_at_each_step(steps):
    figure = sources_figure(
        steps, {"own_pair": [1] * len(steps), "batch": [3] * len(steps), "other_rank": [0] * len(steps)}
    )
    renders(figure)
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in figure.axes[0].collections]
    np.testing.assert_allclose(tops, [0.25, 1.0])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["own crop (25%)", "other photo (75%)"]


@pytest.mark.parametrize(("steps", "shares"), [([], {}), ([], {"batch": []}), ([1, 2], {"batch": [0, 0]})])
def test_sources_say_when_there_are_no_negatives(steps, shares):
    figure = sources_figure(steps, shares)
    renders(figure)
    assert "no negatives recorded" in words(figure)


def test_throughput_has_a_bar_for_each_phase_and_names_the_longest():
    figure = throughput_figure({"waiting": 1.0, "network": 6.0, "loss": 3.0})
    renders(figure)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [1.0, 6.0, 3.0]
    assert "A step takes 10 ms; the longest part: network" in words(figure)
    assert "6.0 ms (60%)" in words(figure)


def test_history_reads_each_key_at_the_steps_that_have_it(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "epoch,step,train/loss,validation/ap\n0,1,0.5,\n0,2,0.4,\n0,2,,0.3\n1,3,nan,0.6\n"
    )
    history = read_history(tmp_path / "metrics.csv")
    assert (history.steps("train/loss"), history.series("train/loss")) == ([1, 2], [0.5, 0.4])
    assert (history.steps("validation/ap"), history.series("validation/ap")) == ([2, 3], [0.3, 0.6])
    assert history.series("never/logged") == []
    assert history.dropped == 0


def test_history_leaves_out_a_cut_last_line_and_counts_it(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss\r\n0,1,0.5\r\n0,2,0.4\r\n0,3,0.")
    history = read_history(tmp_path / "metrics.csv")
    assert history.series("train/loss") == [0.5, 0.4]
    assert history.dropped == 1


def test_of_a_step_that_a_resumed_run_repeats_the_last_value_stays(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss\n1,0.5\n2,9.0\n2,0.4\n")
    assert read_history(tmp_path / "metrics.csv").series("train/loss") == [0.5, 0.4]


@pytest.mark.parametrize(
    "text", ["", "step,epoch\n", "step,train/loss\n", "train/loss\n0.5\n", "step,train/loss\n1,abc\n"]
)
def test_an_empty_or_broken_history_draws_nothing(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    assert draw_history(read_history(tmp_path / "metrics.csv"), tmp_path / "figures") == []
