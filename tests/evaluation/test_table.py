import csv

import numpy as np

from descriptors.evaluation.homography.curves import threshold_figure
from descriptors.evaluation.homography.protocols import (
    HOMOGRAPHY_FOLDER,
    HPATCHES_HOMOGRAPHY,
    HPATCHES_SUPERPOINT,
)
from descriptors.evaluation.rows import Measure, Sample, Summing, rows_of
from descriptors.evaluation.table import flat, text_table, write_csv
from descriptors.figures.canvas import to_array

RUN = "runs/gd_mining_homography_color/20261122-183000/weights.safetensors"


def rows_by(protocol, describers, value=0.5):
    values = {measure.value: value for measure in protocol.measures}
    samples = [
        Sample(f"{kind[0]}_a/1-2", kind, values, {"1": 10, "2": 20}, 2) for kind in ("illumination", "viewpoint")
    ]
    summing = Summing("any", "folder", "pairs", protocol.measures)
    return [row for name in describers for row in rows_of(name, samples, summing)]


def test_a_table_by_hand():
    measures = [Measure("mma@3", "three"), Measure("mma@10", "ten"), Measure("matching_score", "score")]
    seen = [None, {"three": 0.25, "ten": 1.0, "score": 0.125}, {"1": 900, "2": 1000}, 321, [0.05]]
    samples = [Sample(name, *seen) for name in ("v_a/1-2", "v_a/1-3")]
    rows = rows_of("rootsift", samples, Summing("any", "folder", "pairs", measures))
    assert text_table(rows, [measure.name for measure in measures]).splitlines() == [
        "                                           mma ----------------  matching            ms/",
        "describer  set  pairs  keypoints  matches    @3      95 %   @10     score  failed  image",
        "rootsift   all      2        950      321  25.0 25.0-25.0 100.0      12.5       0     50",
    ]


def test_what_is_no_share_is_not_shown_in_per_cent():
    measures = [Measure("registered", "in"), Measure("median_position_m", "metres")]
    samples = [Sample(name, None, {"in": 0.5, "metres": 0.0123}) for name in ("a.jpg", "b.jpg")]
    rows = rows_of("sift", samples, Summing("any", "d", "q", measures))
    line = text_table(rows, ["registered", "median_position_m"], {"median_position_m": 3}).splitlines()[-1]
    assert line.split()[4:7] == ["50.0", "50.0-50.0", "0.012"]


def test_tables_of_all_protocols_fit_into_120_columns_with_the_longest_names():
    for protocol in (HOMOGRAPHY_FOLDER, HPATCHES_HOMOGRAPHY, HPATCHES_SUPERPOINT):
        for describers in (["rootsift"], ["rootsift", RUN, f"some/where/else/{RUN}"]):
            lines = text_table(rows_by(protocol, describers), protocol.shown).splitlines()
            assert max(map(len, lines)) <= 120
            names = {line.partition(" ")[0] for line in lines[-3 * len(describers) :]}
            assert len(names) == len(describers)


def test_a_wide_terminal_shows_names_in_full():
    assert RUN in text_table(rows_by(HOMOGRAPHY_FOLDER, [RUN]), HOMOGRAPHY_FOLDER.shown, width=200)


def test_what_does_not_apply_to_a_set_is_left_empty():
    """The stereo set has no homography: the mean over all is that of the sets that have one. A pair has no interval."""
    measures = [Measure("mma@3", "mma"), Measure("homography_accuracy@3", "homography")]
    samples = [
        Sample("warped", "viewpoint", {"mma": 0.4, "homography": 1.0}, {"1": 10}, 2),
        Sample("stereo", "stereo", {"mma": 0.2}, {"2": 10}, 2),
    ]
    rows = rows_of("rootsift", samples, Summing("any", "folder", "pairs", measures))
    assert [row.measures.get("homography_accuracy@3") for row in rows] == [1.0, 1.0, None]
    lines = text_table(rows, ["mma@3", "homography_accuracy@3"]).splitlines()
    assert [line.split()[-3:] for line in lines[-3:]] == [["100.0", "0", "cached"]] * 2 + [["20.0", "0", "cached"]]
    assert len(rows[2].as_dict()["mma"]) == 1
    assert to_array(threshold_figure(rows, "homography_accuracy", "accuracy")).std() > 0


def test_a_spreadsheet_has_every_figure_with_its_interval(tmp_path):
    rows = rows_by(HPATCHES_HOMOGRAPHY, ["rootsift", RUN], value=3.0)
    with write_csv(rows, tmp_path / "rows.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["describer"] for line in lines] == ["rootsift"] * 3 + [RUN] * 3
    for line, row in zip(lines, rows, strict=True):
        assert float(line["homography_auc@5"]) == row.measures["homography_auc@5"]
        assert float(line["homography_auc@5_low"]) == row.intervals["homography_auc@5"][0]
        assert flat(row)["ms_per_image"] is None
        assert line["ms_per_image"] == ""


def test_curves_can_be_drawn_for_many_describers_and_for_each_protocol():
    names = [f"describer-{number}" * (number + 1) for number in range(9)]
    for protocol in (HOMOGRAPHY_FOLDER, HPATCHES_HOMOGRAPHY):
        figure = protocol.curves(rows_by(protocol, names))
        assert to_array(figure).std() > 0
        assert len(figure.axes) == 3
        assert [len(axes.lines) for axes in figure.axes] == [9] * 3
    places = figure.axes[0].lines[0].get_xdata()
    np.testing.assert_array_equal(places, [1, 3, 5, 10])
