"""Networks of random weights, saved in the layouts that their authors published."""

import kornia.feature
import torch
from kornia.feature.dedode.dedode_models import get_descriptor
from torch import nn
from transformers import SuperPointConfig, SuperPointForKeypointDetection

PATCHES = {"hardnet": kornia.feature.HardNet, "hynet": kornia.feature.HyNet, "sosnet": kornia.feature.SOSNet}
DENSE = ("superpoint", "disk", "aliked", "xfeat", "dedode-b")
FINDING = ("superpoint", "disk", "aliked", "xfeat")  # those that find keypoints too


def network_of(name, seed=0):
    """The library's own network, with weights that tell places apart."""
    generator = torch.Generator().manual_seed(seed)
    network = _built(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.reset_running_stats()
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(module.weight, 1.4, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.02, generator=generator)
    if name == "aliked":
        nn.init.normal_(network.desc_head.agg_weights, 0, 0.02, generator=generator)
    return network.eval()


def saved(network, name, folder):
    """The path of the network's file, named and laid out as published."""
    tensors = network.state_dict()
    if name == "superpoint":
        tensors = {_original_name(key): tensor for key, tensor in tensors.items()}
    elif name == "disk":
        tensors = {"extractor": tensors, "epoch": 50}
    elif name == "aliked":
        del tensors["dkd.hw_grid"]
    elif name == "xfeat":
        tensors = network.net.state_dict()
    torch.save(tensors, folder / f"{name}.pth")
    return folder / f"{name}.pth"


def weights_of(name, folder, seed=0):
    return saved(network_of(name, seed), name, folder)


def _built(name):
    if name in PATCHES:
        return PATCHES[name](pretrained=False)
    if name == "superpoint":
        return SuperPointForKeypointDetection(SuperPointConfig())
    if name == "dedode-b":
        with torch.device("meta"):  # drawing the classifier that it throws away takes two seconds
            network = get_descriptor("B")
        return network.to_empty(device="cpu")
    return {"disk": kornia.feature.DISK, "aliked": kornia.feature.ALIKED, "xfeat": kornia.feature.XFeat}[name]()


def _original_name(key):
    """`superpoint_v1.pth` has conv1a .. conv4b, convPa, convPb (points) and convDa, convDb (descriptors)."""
    parts = key.split(".")
    stage = {"encoder": None, "keypoint_decoder": "P", "descriptor_decoder": "D"}[parts[0]] or str(int(parts[2]) + 1)
    return f"conv{stage}{parts[-2][-1]}.{parts[-1]}"
