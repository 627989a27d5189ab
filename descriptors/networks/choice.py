"""Which networks there are, and how the settings make one."""

from descriptors.choice import Table, make
from descriptors.networks.caps import Caps
from descriptors.networks.compact import Compact
from descriptors.networks.l2net import L2Net
from descriptors.networks.network import DescriptorNetwork, check_promises
from descriptors.networks.pooled import Pooled
from descriptors.schema import NetworkSettings

NETWORKS: Table = {
    "caps": lambda s: Caps(dim=s.dim, encoder=s.encoder, pretrained=s.pretrained, norm=s.norm, fusion=s.fusion),
    "l2net": lambda s: L2Net(dim=s.dim, width=s.width, norm=s.norm),
    "compact": lambda s: Compact(dim=s.dim, width=s.width, norm=s.norm, fusion=s.fusion, depth=s.depth),
}


def build_network(settings: NetworkSettings) -> DescriptorNetwork:
    """The network by name, or `package.module:Class` called with the settings."""
    network: DescriptorNetwork = make(NETWORKS, settings.name, settings)
    if settings.name not in NETWORKS:
        check_promises(network, settings.name)
    return network if settings.octaves == 1 else Pooled(network, settings.octaves)
