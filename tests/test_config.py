from pathlib import Path

import pytest

from descriptors import config
from descriptors.checks import ConfigError
from descriptors.config import load

EXPERIMENTS = config.REPOSITORY / "experiments"


def folder(tmp_path, **files):
    (tmp_path / "scale").mkdir(exist_ok=True)
    (tmp_path / "scale" / "laptop.yaml").write_text("data: {batch_size: 4}\n")
    (tmp_path / "scale" / "paper.yaml").write_text("data: {batch_size: 16}\n")
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", config.experiment_names(EXPERIMENTS))
@pytest.mark.parametrize("scale", ["laptop", "paper", "h200"])
def test_every_experiment_loads_at_every_scale(name, scale):
    words = [f"scale={scale}", "pairs.stylization.folder=copies"]
    experiment = load(name, words, EXPERIMENTS)
    assert (experiment.name, experiment.scale) == (name, scale)


def test_layers_are_merged_in_the_order_default_scale_base_file_words(tmp_path):
    root = folder(
        tmp_path,
        ground="miner: {top_k: 3, radius_px: 1}\nseed: 1\n",
        above="base: ground\nminer: {top_k: 4}\n",
    )
    experiment = load("above", ["seed=2", "scale=paper"], root)
    assert (experiment.miner.top_k, experiment.miner.radius_px, experiment.seed) == (4, 1.0, 2)
    assert (experiment.data.batch_size, experiment.name, experiment.network.dim) == (16, "above", 128)
    assert load("above", ["data.batch_size=9"], root).data.batch_size == 9


def test_printed_config_is_read_back_unchanged(tmp_path):
    experiment = load("gd_mining", ["miner.top_k=7", "data.root=/some: odd/{path}"], EXPERIMENTS)
    path = tmp_path / "copy.yaml"
    path.write_text(config.to_yaml(experiment))
    assert load(str(path), [], EXPERIMENTS) == experiment


def test_words_that_look_like_yaml_stay_text_where_text_is_wanted():
    assert load("in_batch", ["trainer.devices=2"], EXPERIMENTS).trainer.devices == "2"
    assert load("in_batch", ["data.root=1e3"], EXPERIMENTS).data.root == "1e3"
    assert load("in_batch", ["data.root=null"], EXPERIMENTS).data.root is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data.batchsize=8"], "command line: unknown key 'data.batchsize'; did you mean 'data.batch_size'?"),
        (["miner.name=retreival"], "miner.name = 'retreival' is not a choice; did you mean 'retrieval'?"),
        (["miner.top_k=0"], "miner.top_k = 0 is too small; it must be at least 1."),
        (["data.batch_size=eight"], "data.batch_size = 'eight' is not of type int."),
        (["data=3"], "'data' is a section; set a key of it"),
        (["miner.top_k"], "'miner.top_k' is not of the form key=value"),
        (["scale=labtop"], "unknown scale 'labtop'"),
        (["miner.queue_batches=-1"], "miner.queue_batches = -1 is too small; it must be at least 0."),
        (["miner.queue_batches=2", "miner.name=in_pair"], "miner.queue_batches = 2: miner.name = 'in_pair' takes its"),
        (["miner.queue_batches=2", "miner.name=all"], "use miner.name=in_batch, random or retrieval, or"),
        (["pairs.stylization.method=stored"], "needs pairs.stylization.folder"),
        (["pairs.keypoints.border_px=64", "pairs.crop_size=128"], "leaves nothing of a crop"),
        (["optimizer.learning_rate=nan"], "learning_rate = nan is too small"),
    ],
)
def test_impossible_settings_are_one_sentence(words, sentence):
    with pytest.raises(ConfigError) as error:
        load("in_batch", words, EXPERIMENTS)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_experiment_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'gd_mining'"):
        load("gd_minig", [], EXPERIMENTS)


def test_wrong_key_in_a_file_names_the_file(tmp_path):
    root = folder(tmp_path, one="miner: {topk: 3}\n")
    with pytest.raises(ConfigError, match=r"one\.yaml: unknown key 'miner\.topk'; did you mean 'miner\.top_k'"):
        load("one", [], root)


def test_a_loop_of_bases_is_shown(tmp_path):
    root = folder(tmp_path, a="base: b\n", b="base: c\n", c="base: a\n")
    with pytest.raises(ConfigError, match=r"loop of bases \(a -> b -> c -> a\)"):
        load("a", [], root)


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "just words", "\tx: 1", "!!python/object:os.system {}"])
def test_files_that_are_no_settings_are_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        load("odd", [], folder(tmp_path, odd=text))


def test_experiments_state_their_difference_only():
    for path in Path(EXPERIMENTS).glob("*.yaml"):
        assert len(path.read_text().splitlines()) <= 5, path
