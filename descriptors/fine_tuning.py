"""Training that goes on from weights of this project instead of from random ones."""

import logging
from difflib import get_close_matches
from pathlib import Path

from descriptors import shipped
from descriptors.checks import ConfigError
from descriptors.networks.network import DescriptorNetwork
from descriptors.networks.pooled import single_scale
from descriptors.schema import NetworkSettings
from descriptors.weights import load_network, weights_file

log = logging.getLogger(__name__)

OWN = ("l2net", "compact")  # networks whose `pretrained` names our weights; that of caps names an encoder


def check_pretrained(settings: NetworkSettings) -> None:
    """Asks no model hub for shipped weights, or for what is meant to be their name.

    Raises:
        ConfigError: the network begins with an encoder, and the name is, or nearly is, that of shipped weights.
    """
    if settings.name != "caps" or Path(settings.pretrained).exists():
        return
    for name in get_close_matches(settings.pretrained, shipped.names(), n=1, cutoff=0.8):
        network = shipped.read_card(name)["network"]["name"]
        raise ConfigError(
            f"network.pretrained = '{settings.pretrained}': network.name=caps begins with an encoder of the model hub "
            f"or of a folder; the shipped weights '{name}' are of network.name={network} (shipped are "
            f"{', '.join(shipped.names())})."
        )


def start_from_weights(network: DescriptorNetwork, settings: NetworkSettings) -> None:
    """Fills the network, in place, from the weights that `network.pretrained` names, if it names any.

    Octaves have no parameters of their own; where those weights were trained over another number of them, it is said.

    Raises:
        ConfigError: there are no such weights, or they are of another network.
    """
    if settings.name not in OWN or settings.pretrained == "none":
        return
    said = f"network.pretrained = '{settings.pretrained}'"
    try:
        found, card = load_network(weights_file(settings.pretrained))
    except ValueError as error:
        raise ConfigError(f"{said}: {error}") from error
    try:
        single_scale(network).load_state_dict(single_scale(found).state_dict())
    except RuntimeError as error:
        theirs, ours = card["network"], vars(settings)
        keys = [key for key in ("name", "dim", "width", "norm", "fusion", "depth") if theirs.get(key) != ours[key]]
        words = " ".join(f"network.{key}={theirs.get(key)}" for key in keys)
        raise ConfigError(f"{said}: those weights are of another network; say {words}, or pretrained=none.") from error
    octaves = card["network"].get("octaves", 1)
    if octaves != settings.octaves:
        log.warning("%s was trained over %d octave(s), this run is over %d", said, octaves, settings.octaves)
