"""Networks that turn an image into a dense map of descriptors."""

from descriptors.networks.caps import Caps
from descriptors.networks.compact import Compact
from descriptors.networks.l2net import L2Net
from descriptors.networks.network import DescriptorNetwork
from descriptors.networks.norm import norm_layer, replace_batch_norm
from descriptors.networks.sampling import sample

__all__ = ["Caps", "Compact", "DescriptorNetwork", "L2Net", "norm_layer", "replace_batch_norm", "sample"]
