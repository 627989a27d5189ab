"""Training that goes on from weights of this project instead of from random ones."""

from descriptors.checks import ConfigError
from descriptors.networks.network import DescriptorNetwork
from descriptors.networks.pooled import single_scale
from descriptors.schema import NetworkSettings
from descriptors.weights import load_network, weights_file

OWN = ("l2net", "compact")  # networks whose `pretrained` names our weights; that of caps names an encoder


def start_from_weights(network: DescriptorNetwork, settings: NetworkSettings) -> None:
    """Fills the network, in place, from the weights that `network.pretrained` names, if it names any.

    How many octaves those weights were trained with does not matter: octaves have no parameters of their own.

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
