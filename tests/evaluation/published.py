"""Networks of random weights, saved in the layouts that their authors published."""

from collections import OrderedDict

import kornia.feature
import torch
from kornia.feature.dedode.dedode_models import get_descriptor
from torch import nn
from transformers import SuperPointConfig, SuperPointForKeypointDetection

from tests.oracles_published import quad_tensors, resunet_tensors

PATCHES = {"hardnet": kornia.feature.HardNet, "hynet": kornia.feature.HyNet, "sosnet": kornia.feature.SOSNet}
FINDING = ("superpoint", "disk", "aliked", "xfeat")  # those that find keypoints too
OF_LIBRARIES = (*FINDING, "dedode-b")
OF_AUTHORS = ("hndesc", "caps", "r2d2")  # whose networks no library brings along
DENSE = (*OF_LIBRARIES, *OF_AUTHORS)


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
    """As `saved`, of random weights."""
    if name not in OF_AUTHORS:
        return saved(network_of(name, seed), name, folder)
    tensors = quad_tensors(seed, scores=True) if name == "r2d2" else resunet_tensors(seed)
    torch.save(checkpoint_of(name, tensors), folder / f"{name}.pth")
    return folder / f"{name}.pth"


def checkpoint_of(name, tensors, net="Quad_L2Net_ConfCFS()"):
    """What the authors of HNDesc, CAPS and R2D2 save around their tensors."""
    if name == "r2d2":
        return {"net": net, "state_dict": OrderedDict(tensors)}
    one = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([one], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 50_000, 0.5)
    one.sum().backward()
    optimizer.step()
    scheduler.step()
    training = {"step": 220_000, "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    if name == "caps":
        return training | {"state_dict": OrderedDict((f"net.{key}", tensor) for key, tensor in tensors.items())}
    return training | {"state_dict": OrderedDict(tensors), "val_loss": 0.25}


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
