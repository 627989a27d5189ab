import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from descriptors.evaluation.retrieval.collection import View
from descriptors.evaluation.retrieval.pictures import Block, Line, reranking_figure
from descriptors.evaluation.retrieval.search import Hit
from descriptors.figures.canvas import GREEN, RED, to_array
from tests.evaluation.retrieval.scenes import make_landmarks, measured, write_globals, write_image


def share_of(picture, colour):
    return (picture == np.round(255 * np.array(to_rgb(colour)))).all(-1).mean()


@pytest.mark.parametrize(
    ("rights", "colours"), [((True, True), {GREEN}), ((False,), {RED}), ((True, False), {GREEN, RED})]
)
def test_right_answers_are_framed_green_and_wrong_ones_red(tmp_path, rights, colours):
    view = View(tmp_path / "a.png", "a.png")
    write_image(view.path, np.full((60, 80, 3), 128, np.uint8))
    line = Line("rootsift", "AP 0.50", [Hit(view, right, 12) for right in rights])
    picture = to_array(reranking_figure([Block(view, "AP +0.10", [line])], "title"))
    assert {colour for colour in (GREEN, RED) if share_of(picture, colour) > 0} == colours


def test_the_sheet_is_drawn_also_of_an_image_that_cannot_be_read(tmp_path):
    root = make_landmarks(tmp_path)
    (root / "images" / "camera.png").unlink()  # it has a stored descriptor and is wrong everywhere
    files = [path.name for path in sorted((root / "images").iterdir())] + ["camera.png"]
    stored = write_globals(tmp_path / "global.h5", {name: 7 * number for number, name in enumerate(files)})
    measured(
        "landmark", root, options={"global_descriptor": str(stored), "shortlist": 6}, pictures=tmp_path / "pictures"
    )
    picture = cv2.imread(str(tmp_path / "pictures" / "reranking.png"))[..., ::-1]
    assert picture.shape[1] == 1200
    assert share_of(picture, GREEN) > 0
    assert share_of(picture, RED) > 0


def test_without_a_measured_query_there_is_no_picture(tmp_path):
    root = make_landmarks(tmp_path)
    for path in (root / "images").glob("*_*.png"):
        path.write_bytes(b"none")
    measured("landmark", root, pictures=tmp_path / "pictures")
    assert not (tmp_path / "pictures" / "reranking.png").exists()
