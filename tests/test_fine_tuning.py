"""Training on from weights of this project, with other photos, another miner or more octaves."""

import pytest
import torch

from descriptors import build, config
from descriptors.checks import ConfigError
from descriptors.clock import PhaseClock
from descriptors.schema import NetworkSettings
from descriptors.weights import load_network, read_weights
from tests.test_training import SMALL, train
from tests.weights import save_small


def module(*words):
    return build.module(config.load("in_batch", [*SMALL, *words]), PhaseClock())


@pytest.mark.parametrize("octaves", [1, 2])
def test_a_run_begins_with_the_named_weights_whatever_their_octaves(octaves, tmp_path, photo_folder, caplog):
    begun = save_small(tmp_path / "first" / "weights.safetensors", seed=7)
    words = [f"network.pretrained={tmp_path / 'first'}", f"network.octaves={octaves}", "optimizer.learning_rate=0"]
    words += [f"data.root={photo_folder}", "trainer.max_steps=1", "pairs.crop_size=80"]
    assert train("in_batch", tmp_path / "second", *words) == 0
    state, card = read_weights(tmp_path / "second" / "weights.safetensors")
    prefix = "network." if octaves == 2 else ""
    assert {name.removeprefix(prefix) for name in state} == read_weights(begun)[0].keys()
    assert all(torch.equal(value, state[prefix + name]) for name, value in read_weights(begun)[0].items())
    assert card["network"]["pretrained"] == str(tmp_path / "first")
    assert ("trained over 1 octave(s), this run is over 2" in caplog.text) == (octaves == 2)
    assert f"'Untrained' is what this run began with: the weights '{tmp_path / 'first'}'." in card["notes"]
    network, _ = load_network(tmp_path / "second" / "weights.safetensors")
    assert network.smallest_px == 32 * octaves


def test_shipped_weights_are_named_as_everywhere():
    started = module("network.pretrained=in_batch_full", "network.width=32", "network.dim=128", "network.norm=instance")
    random = module("network.width=32", "network.dim=128", "network.norm=instance")
    ours, others = started.network.state_dict(), random.network.state_dict()
    assert not torch.equal(ours["head.fine.weight"], others["head.fine.weight"])


def test_weights_of_another_network_are_refused_with_the_words_that_fit(tmp_path):
    path = save_small(tmp_path / "weights.safetensors", NetworkSettings(name="compact", dim=16, width=16))
    with pytest.raises(ConfigError, match=r"another network; say network.width=16 network.norm=batch, or pretrained="):
        module(f"network.pretrained={path}", "network.norm=instance")


def test_weights_that_are_not_there_are_refused_with_what_there_is():
    said = r"network.pretrained = 'gd_minig'.*no such weights.*did you mean 'gd_mining'\?.*\(gd_mining, in_batch_full\)"
    with pytest.raises(ConfigError, match=said):
        module("network.pretrained=gd_minig")


@pytest.mark.parametrize("name", ["in_batch_full", "in_batch_ful"])
def test_shipped_weights_are_not_sought_on_a_hub_of_encoders(name, monkeypatch):
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(ConfigError, match=r"shipped weights 'in_batch_full' are of network\.name=compact"):
        module("network.name=caps", f"network.pretrained={name}")
