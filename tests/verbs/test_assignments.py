"""NAME=FILE and KEY=VALUE on the command line."""

from pathlib import Path

import pytest

from descriptors.verbs.assignments import assigned, weight_files


def test_a_word_is_split_at_its_first_sign():
    words = ["geometry=homography", "model=a=b"]
    assert assigned("--option", words, "KEY=VALUE", "k=v") == {"geometry": "homography", "model": "a=b"}
    assert weight_files(["hardnet=a/b.pth"]) == {"hardnet": Path("a/b.pth")}


@pytest.mark.parametrize("word", ["hardnet", "hardnet=", "=b.pth", ""])
def test_a_word_without_a_name_a_sign_or_a_file_is_refused_in_a_sentence(word):
    with pytest.raises(ValueError, match=f"--weights {word} is not of the form NAME=FILE, e.g. hardnet=checkpoint.pth"):
        weight_files(["keynet=k.pth", word])
