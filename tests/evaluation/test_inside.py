import pytest

from descriptors.evaluation.inside import inside
from descriptors.evaluation.sizes import UnmeasurableError


@pytest.mark.parametrize("name", ["a.png", "deep/down/a.png", "./a.png", "a..b/..c.png"])
def test_a_name_below_the_folder_is_its_file(tmp_path, name):
    assert inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", ["../a.png", "deep/../../a.png", "deep/../a.png", "..", "/etc/hostname"])
def test_a_name_that_could_lead_out_of_the_folder_is_refused_in_a_sentence(tmp_path, name):
    with pytest.raises(UnmeasurableError, match=f"^'{name}' leads out of {tmp_path}; .*without '..'\\.$"):
        inside(tmp_path, name)


def test_links_that_lie_in_the_folder_are_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.png").write_text("an image")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images").symlink_to(tmp_path / "elsewhere")
    assert inside(tmp_path / "data", "images/a.png").read_text() == "an image"
