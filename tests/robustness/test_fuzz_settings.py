"""Experiment files and `key=value` words at random: a whole experiment, or one sentence."""

import pytest
import yaml
from hypothesis import strategies as st

from descriptors import config
from descriptors.checks import schema_fields
from descriptors.schema import Experiment
from tests.robustness.fuzzing import FEW, MANY, damaged, each, ended

KEYS = sorted(schema_fields())
SECTIONS = sorted({key.rpartition(".")[0] for key in KEYS} - {""})
ODD_WORDS = [
    "",
    "null",
    "~",
    "-1",
    "0",
    "1e400",
    ".nan",
    ".inf",
    "[1, 2]",
    "{a: 1}",
    "${seed}",
    "${a.b:c}",
    "???",
    "*x",
]
ODD_WORDS += [
    "&a [*a]",
    "0x10",
    "1_000",
    "true",
    "'",
    "a:b",
    "2026-01-01",
    "!!python/object:os.system",
    "\x00",
    "é",
    "9" * 40,
]
ODD_WORDS += ["- 1", "a: b: c", "[" * 200, "{" * 200, "mine:Missing", "os:getcwd", "%s", "\ud800", "1" * 5000, "<<: 1"]
amounts = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


def values():
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(ODD_WORDS)
    return st.recursive(scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part))


def whole(experiment):
    return None if isinstance(experiment, Experiment) and config.to_yaml(experiment) else "it is no experiment"


@pytest.mark.parametrize("examples", [2 * FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_words_of_the_command_line(examples):
    key = st.sampled_from(
        KEYS + SECTIONS + ["scale", "base", "name", "", ".", "a.b.c", "data..root", "data[0]", "\x00"]
    )
    value = st.sampled_from(ODD_WORDS) | st.text(max_size=12) | st.integers().map(str) | st.floats().map(str)
    word = st.builds("{}={}".format, key, value) | st.text(max_size=10)
    each(
        examples,
        st.lists(word, max_size=3),
        lambda words: ended("settings", lambda: config.load("in_batch", words), whole),
    )


@pytest.mark.parametrize("examples", amounts)
def test_experiment_files_of_any_values(examples, tmp_path):
    content = st.dictionaries(
        st.sampled_from([*KEYS, *SECTIONS, "base", "scale"]) | st.text(max_size=6), values(), max_size=4
    )
    path = tmp_path / "mine.yaml"

    def check(plain):
        path.write_text(yaml.dump(plain, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
        ended("settings", lambda: config.load(str(path)), whole)

    each(examples, content, check)


@pytest.mark.parametrize("examples", amounts)
def test_damaged_experiment_files(examples, tmp_path):
    path = tmp_path / "mine.yaml"
    text = config.to_yaml(config.load("gd_mining")).encode()

    def check(content):
        path.write_bytes(content)
        ended("settings", lambda: config.load(str(path)), whole)

    each(examples, damaged(text) | st.text(max_size=60).map(lambda said: said.encode(errors="replace")), check)


def test_an_experiment_file_that_multiplies_itself_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))
    assert ended("settings", lambda: config.load(str(path)), whole) is None
    lines = ["a0: &a0 {x: 1, y: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 60))]
    path.write_text("\n".join([*lines, "data: {root: *a59}", "pairs: *a59"]))
    assert ended("settings", lambda: config.load(str(path)), whole) is None
    path.write_text("data: &d {root: *d}\n")
    assert ended("settings", lambda: config.load(str(path)), whole) is None
