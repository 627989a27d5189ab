import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from descriptors.evaluation import protocols
from descriptors.evaluation.evaluate import measure
from descriptors.evaluation.localization.image_features import ImageFeatures
from descriptors.evaluation.localization.mapping import NO_POINT
from descriptors.evaluation.localization.poses import position_error_m, read_poses, rotation_error_deg
from descriptors.evaluation.localization.protocols import LOCALIZATION_INLOC
from descriptors.evaluation.localization.scans import FOCAL, read_inloc, scanned_map, scanned_places
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError
from tests import oracles_localization as oracle
from tests.evaluation.localization import corner

CUTOUT = "database/cutouts/DUC1/024/DUC_cutout_024_30_0.jpg"
TO_WORLD = np.array([[0.0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]])  # a quarter turn and a shift


def write_scan(root, scan, name=CUTOUT, to_world=TO_WORLD):
    """A cutout's scan and its alignment, in InLoc's layout: seven lines of another matrix come first."""
    file = root / f"{name}.mat"
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, {"XYZcut": scan})
    alignment = root / "database/alignments/DUC1/transformations" / f"DUC_trans_{name.split('/')[3]}.txt"
    alignment.parent.mkdir(parents=True, exist_ok=True)
    before = "initial:\n" + "1 0 0 0\n" * 4 + "\nafter GICP:\n"
    rows = "\n".join(" ".join(f"{value:.12g}" for value in row) for row in to_world)
    alignment.write_text(before + rows + "\n")


def ramp(width, height):
    """(H, W, 3): pixel (x, y) lies at (x, y, 2)."""
    column, row = np.meshgrid(np.arange(width, dtype=float), np.arange(height))
    return np.stack([column, row, np.full(column.shape, 2.0)], 2)


def at(*places, size=(8, 6)):
    return ImageFeatures(np.array(places, float), np.zeros((len(places), 4), np.float32), size)


def test_places_of_keypoints_by_hand(tmp_path):
    """(3, 2, 2) and half a pixel on (3.5, 2.25, 2), turned to (-y, x, z) and shifted by (10, 20, 30)."""
    write_scan(tmp_path, ramp(8, 6))
    places = scanned_places(at((3, 2), (3.5, 2.25)), tmp_path, CUTOUT)
    np.testing.assert_allclose(places, [[8, 23, 32], [7.75, 23.5, 32]])


def test_where_a_neighbour_is_unknown_the_nearest_pixel_counts_and_else_nothing(tmp_path):
    scan = ramp(8, 6)
    scan[2, 4] = np.nan
    write_scan(tmp_path, scan, to_world=np.eye(4))
    places = scanned_places(at((3.4, 2), (3.6, 2), (4, 2)), tmp_path, CUTOUT)
    np.testing.assert_allclose(places, [[3, 2, 2], [np.nan] * 3, [np.nan] * 3])


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.4, 7.4), st.floats(-0.4, 5.4), st.integers(0, 999))
def test_places_are_those_of_the_loops(tmp_path_factory, x, y, seed):
    rng, root = np.random.default_rng(seed), tmp_path_factory.mktemp("scan")
    scan = rng.normal(size=(6, 8, 3))
    scan[rng.uniform(size=(6, 8)) < 0.1] = np.nan
    write_scan(root, scan, to_world=np.eye(4))
    inside = min(max(x, 0), 7), min(max(y, 0), 5)
    expected = oracle.bilinear(scan.tolist(), *inside)
    np.testing.assert_allclose(scanned_places(at((x, y)), root, CUTOUT)[0], expected, atol=1e-9)


def test_every_keypoint_with_a_place_is_a_point_of_its_own(tmp_path):
    names = [CUTOUT, CUTOUT.replace("30_0", "60_0")]
    for name in names:
        scan = ramp(8, 6)
        scan[0, 0] = np.nan
        write_scan(tmp_path, scan, name, np.eye(4))
    mapped = scanned_map([*names, names[0]], lambda name: at((0, 0), (3, 2), (5, 1)), tmp_path, tmp_path / "work")
    assert [mapped.landmarks(name).point.tolist() for name in names] == [[NO_POINT, 0, 1], [NO_POINT, 2, 3]]
    np.testing.assert_array_equal(mapped.landmarks(names[1]).xyz[1:], [[3, 2, 2], [5, 1, 2]])


@pytest.mark.parametrize("name", [f"../data/{CUTOUT}", f"/{CUTOUT}"])
def test_a_scan_outside_of_the_folder_is_not_read(tmp_path, name):
    write_scan(tmp_path / "data", ramp(8, 6))
    scanned_places(at((1, 1)), tmp_path / "data", CUTOUT)
    with pytest.raises(UnmeasurableError, match=f"'{name}.mat' leads out of"):
        scanned_places(at((1, 1)), tmp_path / "data", name)


@pytest.mark.parametrize("broken", ["scan", "shape", "key", "alignment", "numbers", "name"])
def test_a_scan_that_is_missing_or_of_another_layout_is_named(tmp_path, broken):
    write_scan(tmp_path, ramp(8, 6) if broken != "shape" else ramp(6, 8))
    alignment = tmp_path / "database/alignments/DUC1/transformations/DUC_trans_024.txt"
    name = CUTOUT
    if broken == "scan":
        (tmp_path / f"{CUTOUT}.mat").write_text("no scan")
    if broken == "key":
        savemat(tmp_path / f"{CUTOUT}.mat", {"XYZ": ramp(8, 6)})
    if broken == "alignment":
        alignment.unlink()
    if broken == "numbers":
        alignment.write_text("1 2 3\n" * 12)
    if broken == "name":
        name = "DUC.jpg"
        savemat(tmp_path / "DUC.jpg.mat", {"XYZcut": ramp(8, 6)})
    word = {"alignment": "no alignment", "numbers": "no alignment", "name": "does not name"}.get(broken, "scan")
    with pytest.raises(UnmeasurableError, match=word):
        scanned_places(at((1, 1)), tmp_path, name)


def test_the_list_of_pairs_says_which_queries_there_are_and_the_phones_camera_is_known(tmp_path):
    (tmp_path / "pairs-query.txt").write_text(f"query/a.JPG {CUTOUT}\nquery/a.JPG other.jpg\nquery/a.JPG {CUTOUT}\n")
    scene = read_inloc(tmp_path, LOCALIZATION_INLOC.options)
    assert scene.neighbours == {"query/a.JPG": [CUTOUT, "other.jpg"]}
    camera = scene.queries[0].camera_for((4032, 3024))
    np.testing.assert_allclose(camera.params, [3136, 2016, 1512])  # 4032 px x 28 mm / 36 mm
    camera = scene.queries[0].camera_for((1200, 1600))
    np.testing.assert_allclose(camera.params, [1600 * 28 / 36, 600, 800])  # a shrunken copy, upright
    (tmp_path / "pairs-query.txt").write_text("\n")
    with pytest.raises(ValueError, match="lists no query"):
        read_inloc(tmp_path, LOCALIZATION_INLOC.options)


def test_queries_are_localized_among_scanned_views_through_the_protocol(tmp_path, monkeypatch):
    """The corner of a room: known views with their depth, a query whose camera is like the phone's."""
    monkeypatch.setattr(corner, "FOCAL_PX", FOCAL * corner.SIZE[0])  # a tenth of the phone's, for speed
    monkeypatch.setattr(corner, "CENTRE_PX", (corner.SIZE[0] / 2 - 0.5, corner.SIZE[1] / 2 - 0.5))
    monkeypatch.setitem(protocols.PROTOCOLS, "localization/inloc", LOCALIZATION_INLOC)
    views = corner.poses(4)
    names = [f"database/cutouts/DUC1/024/DUC_cutout_024_{number}_0.png" for number in range(3)]
    for name, pose in zip(names, views[[0, 1, 3]], strict=True):
        write_scan(tmp_path, corner.places(pose), name, np.eye(4))
        Image.fromarray(corner.render(pose)).save(tmp_path / name)
    (tmp_path / "query").mkdir()
    Image.fromarray(corner.render(views[2])).save(tmp_path / "query/q.png")
    (tmp_path / "pairs-query.txt").write_text("".join(f"query/q.png {name}\n" for name in names))
    options = {"output": str(tmp_path / "out")}
    given_ = protocols.completed("localization/inloc", {"options": options, "keypoints": 500})
    evaluation = measure(Settings(describers=["rootsift"], data=tmp_path, **given_))
    assert evaluation.failures == []
    assert evaluation.rows[0].measures["registered"] == 1
    pose = read_poses(next((tmp_path / "out").iterdir()))["q.png"]
    assert position_error_m(pose, views[2]) < 0.02
    assert rotation_error_deg(pose, views[2]) < 0.2
