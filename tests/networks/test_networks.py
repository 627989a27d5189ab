"""Promises every network keeps: geometry, gradients, repeatability, normalisation."""

import pytest
import torch
from torch import nn
from transformers import ResNetBackbone, ResNetConfig, ResNetForImageClassification

from descriptors.networks import Caps, Compact, L2Net, norm_layer, replace_batch_norm
from descriptors.networks.network import lay_out
from descriptors.networks.pooled import Halve, Pooled
from descriptors.networks.sampling import sample

NETWORKS = {
    "caps": lambda **options: Caps(encoder="resnet18", dim=32, **options),
    "caps_fusion": lambda **options: Caps(encoder="resnet18", dim=32, fusion=True, **options),
    "l2net": lambda **options: L2Net(dim=32, width=8, **options),
    "compact": lambda **options: Compact(dim=32, width=16, **options),
    "compact_fusion": lambda **options: Compact(dim=32, width=16, fusion=True, **options),
    "compact_deep": lambda **options: Compact(dim=32, width=16, depth=5, **options),
    "compact_octaves": lambda **options: Pooled(Compact(dim=32, width=16, **options), 2),
}
REACH_PX = {
    "caps": 16,
    "caps_fusion": 16,
    "l2net": 1,
    "compact": 16,
    "compact_fusion": 16,
    "compact_deep": 32,
    "compact_octaves": 32,
}  # the deepest level's stride
every_network = pytest.mark.parametrize("name", NETWORKS)
every_norm = pytest.mark.parametrize("norm", ["batch", "sync", "frozen", "instance"])


def build(name, **options):
    torch.manual_seed(0)
    return NETWORKS[name](**options)


@every_network
@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 77), (32, 50), (33, 97)])
def test_any_size_gives_one_cell_a_stride(name, height, width):
    network = build(name, norm="frozen").eval()
    height, width = (max(side, network.smallest_px) for side in (height, width))
    with torch.no_grad():
        dense = network(torch.rand(2, 3, height, width))
    assert dense.shape == (2, network.dim, -(-height // network.stride), -(-width // network.stride))


@every_network
def test_the_deepest_features_are_finite_and_not_negative(name):
    features = build(name).eval().encode(torch.rand(2, 3, 72, 88))
    assert features.ndim == 4
    assert features.isfinite().all()
    assert (features >= 0).all()


@every_network
@every_norm
def test_every_parameter_gets_a_gradient(name, norm):
    network = build(name, norm=norm)
    network.train(norm != "sync")  # its training needs CUDA
    described = network.describe(torch.rand(2, 3, 64, 64), torch.rand(2, 6, 2) * 47)
    (described * torch.randn_like(described)).sum().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


@every_network
def test_laid_out_for_a_gpu_a_network_says_the_same_and_gradients_lie_as_its_weights(name):
    plain, laid_out = build(name), build(name)
    lay_out(plain, torch.device("cpu"))
    lay_out(laid_out, torch.device("cuda"))
    pixels, xy = torch.rand(2, 3, 64, 64), torch.rand(2, 6, 2) * 47
    described = [network.describe(pixels, xy) for network in (plain, laid_out)]
    torch.testing.assert_close(*described, atol=1e-5, rtol=0)
    described[1].square().mean().backward()
    weights = [weight for weight in laid_out.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert all(weight.grad.stride() == weight.stride() for weight in weights)  # else DDP copies them
    assert all(weight.is_contiguous() for weight in plain.parameters())


@every_network
def test_two_passes_agree_bit_for_bit(name):
    network, pixels, xy = build(name).eval(), torch.rand(2, 3, 64, 80), torch.rand(2, 20, 2) * 47
    with torch.no_grad():
        assert torch.equal(network.describe(pixels, xy), network.describe(pixels, xy))


@every_network
@pytest.mark.parametrize("norm", ["frozen", "instance"])
def test_a_row_does_not_depend_on_the_rest_of_the_batch_in_training(name, norm):
    network, pixels = build(name, norm=norm).train(), torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(pixels)[1:2], network(pixels[1:2]), atol=2e-4, rtol=2e-4)


@every_network
def test_a_shift_by_the_deepest_stride_shifts_the_map(name):
    network, shift = build(name, norm="frozen").eval(), REACH_PX[name]
    far = max(160, 7 * shift)  # px: beyond the reach of the zeros that pad the border
    frame = torch.rand(1, 3, 2 * far + 80 + shift, 2 * far + 80 + shift)
    _without_image_statistics(network)
    with torch.no_grad():
        first, second = network(frame[..., :-shift, :-shift]), network(frame[..., shift:, shift:])
    cells, edge = shift // network.stride, far // network.stride
    moved = first[..., cells:, cells:][..., edge:-edge, edge:-edge]
    kept = second[..., :-cells, :-cells][..., edge:-edge, edge:-edge]
    assert moved.shape[-1] > 10
    torch.testing.assert_close(moved, kept, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(moved, second[..., cells:, cells:][..., edge:-edge, edge:-edge], atol=1e-3, rtol=1e-3)


@every_network
@pytest.mark.parametrize("parity", [(0, 1), (2, 3)])
def test_a_cell_looks_at_the_pixel_where_the_stride_and_offset_put_it(name, parity, monkeypatch):
    monkeypatch.setattr(
        "descriptors.networks.network.F.normalize", lambda x, dim, eps: x
    )  # fusion's halves are not linear
    network, side = _linear(build(name, norm="frozen").eval()), 71 if name == "l2net" else 119
    cell = [side // 2 + shift for shift in parity]
    pixels = torch.full((1, 3, side * network.stride - 1, side * network.stride - 2), 0.9, requires_grad=True)
    network(pixels)[0, :, cell[0], cell[1]].sum().backward()
    for axis in (0, 1):
        slope = pixels.grad[0].sum(0).sum(1 - axis)
        place = (slope * torch.arange(len(slope))).sum() / slope.sum()
        assert slope[0] == slope[-1] == 0  # the frame holds all that the cell sees
        assert float(place) == pytest.approx(network.offset_px + network.stride * cell[axis], abs=0.02)


def _linear(network):
    """Positive, symmetric kernels on a bright, even image: the network is linear, so centres of mass are exact."""
    _without_image_statistics(network)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            kernel = layer.weight.data.abs() + layer.weight.data.abs().flip(2, 3)
            gain = torch.linspace(0.5, 1.5, len(kernel)).view(-1, 1, 1, 1)  # channels that differ
            layer.weight.data = gain * kernel / kernel.sum((1, 2, 3), keepdim=True)
    if isinstance(network, Caps):
        network.stem.pooler = nn.AvgPool2d(3, 2, 1)  # in an even image every maximum is a tie
    return network


def _without_image_statistics(network):
    """The compact network's statistics of the whole image depend on every pixel; the geometry is that of the rest."""
    for part in network.modules():
        if isinstance(part, Compact):
            part.normalise = nn.Conv2d(3, 1, 1, bias=False).requires_grad_(False)


@every_network
def test_half_precision_training_gives_unit_rows_and_finite_gradients(name):
    network = build(name, norm="instance").train()
    with torch.autocast("cpu", torch.bfloat16):
        described = network.describe(torch.rand(2, 3, 64, 64), torch.rand(2, 6, 2) * 47)
    (described * torch.randn_like(described)).sum().backward()
    torch.testing.assert_close(described.norm(dim=-1), torch.ones(2, 6), atol=1e-5, rtol=0)
    assert all(value.grad.isfinite().all() for value in network.parameters())


@every_network
def test_frozen_statistics_do_not_change_in_training(name):
    network = build(name, norm="frozen").train()
    before = {key: value.clone() for key, value in network.named_buffers()}
    network(torch.rand(4, 3, 64, 64)).sum().backward()
    assert any("running_mean" in key for key in before)
    assert all(torch.equal(before[key], value) for key, value in network.named_buffers())


@every_network
def test_a_network_trained_with_batch_norm_loads_into_a_frozen_one_and_says_the_same(name):
    trained = build(name, norm="batch").train()
    trained(torch.rand(4, 3, 64, 64))
    frozen = NETWORKS[name](norm="frozen").train()
    frozen.load_state_dict(trained.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(frozen(pixels), trained.eval()(pixels))


@every_network
def test_an_image_too_small_is_refused_with_its_size(name):
    network = build(name)
    with pytest.raises(ValueError, match=f"at least {network.smallest_px} px a side, not 1x90"):
        network(torch.rand(1, 3, 90, 1))
    with pytest.raises(ValueError, match="RGB"):
        network(torch.rand(1, 1, 90, 90))


def test_brightness_and_contrast_of_an_image_do_not_change_the_compact_descriptors():
    network, pixels = Compact(dim=32, width=16).eval(), torch.rand(1, 3, 64, 64)
    xy = torch.rand(1, 30, 2) * 63
    with torch.no_grad():
        same = (network.describe(pixels, xy) * network.describe(0.3 * pixels + 0.5, xy)).sum(-1)
    assert same.min() > 0.999


def test_octaves_are_the_sum_of_unit_descriptors_of_smaller_images_at_the_same_places():
    """Written with positions instead of maps: pixel x of the image is pixel x / 2 of its half."""
    network = Compact(dim=32, width=16).eval()
    pixels, cells = torch.rand(1, 3, 129, 161), torch.cartesian_prod(torch.arange(2, 38), torch.arange(2, 30))
    xy = (8 * (cells // 2))[None].float()  # centres of cells of both octaves
    with torch.no_grad():
        parts = network.describe(pixels, xy) + network.describe(Halve()(pixels), xy / 2)
        found = Pooled(network, 2).describe(pixels, xy)
    torch.testing.assert_close(found, torch.nn.functional.normalize(parts, dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(128, 160), (133, 171)])
def test_octaves_read_where_they_stand_are_their_map_read_at_once(height, width):
    network, pixels = build("compact_octaves").eval(), torch.rand(2, 3, height, width)
    xy = torch.rand(2, 200, 2) * torch.tensor([width - 12.0, height - 12.0])  # beyond the last cells the border goes on
    with torch.no_grad():
        at_once = sample(network(pixels), xy, network.stride, network.offset_px)
        torch.testing.assert_close(network.describe(pixels, xy), at_once, atol=1e-5, rtol=0)


def test_a_compiled_network_of_octaves_compiles_what_runs_on_each():
    network = build("compact_octaves")
    network.compile(backend="eager")
    assert network.network._compiled_call_impl is not None
    assert network._compiled_call_impl is None


def test_halving_keeps_places_and_takes_away_what_the_half_cannot_hold():
    x = torch.arange(37.0).expand(1, 1, 29, 37)
    torch.testing.assert_close(Halve()(x)[..., 1:-1], x[..., ::2, ::2][..., 1:-1])
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    torch.testing.assert_close(Halve()(stripes)[..., 1:-1], torch.full((1, 1, 32, 30), 0.5))


def test_the_compact_network_has_less_than_a_million_parameters():
    assert sum(value.numel() for value in Compact().parameters()) < 1_000_000


def test_an_export_with_free_sizes_says_the_same_for_other_sizes():
    network, free = Compact(dim=32, width=16).eval(), torch.export.Dim.DYNAMIC
    program = torch.export.export(network, (torch.rand(1, 3, 96, 128),), dynamic_shapes=({2: free, 3: free},))
    exported = program.module(check_guards=False)  # torch 2.11 guards which sizes are even, though none matters
    for size in ((75, 66), (66, 75), (64, 64), (97, 131)):
        other = torch.rand(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(exported(other), network(other))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
def test_the_encoder_has_three_stages_and_no_fourth(encoder):
    network = Caps(encoder=encoder)
    assert len(network.stages) == 3
    assert network.encode(torch.rand(1, 3, 32, 48)).shape[2:] == (2, 3)


def test_pretrained_weights_of_a_classifier_are_taken_without_their_fourth_stage(tmp_path):
    classifier = ResNetForImageClassification(_resnet18())
    classifier.save_pretrained(tmp_path)
    network = Caps(encoder="resnet18", pretrained=str(tmp_path), norm="frozen")
    for stage, original in zip(network.stages, classifier.resnet.encoder.stages, strict=False):
        for key, value in original.state_dict().items():
            assert key.endswith("num_batches_tracked") or torch.equal(stage.state_dict()[key], value)
    assert len(network.stages) == 3


def test_pretrained_weights_of_another_encoder_are_refused(tmp_path):
    ResNetBackbone(_resnet18()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not resnet34"):
        Caps(encoder="resnet34", pretrained=str(tmp_path))


def test_pretrained_weights_that_are_not_there_are_named_with_the_ways_out(tmp_path):
    missing = str(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"nothing.*pretrained=none.*local folder.*HF_HOME"):
        Caps(encoder="resnet18", pretrained=missing)


def test_an_unknown_encoder_or_norm_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"resnet101.*resnet18, resnet34, resnet50"):
        Caps(encoder="resnet101")
    with pytest.raises(ValueError, match=r"layer.*batch, sync, frozen, instance"):
        Compact(norm="layer")


def test_instance_norm_is_the_standard_one():
    torch.manual_seed(0)
    x, ours, standard = torch.randn(3, 8, 5, 7), norm_layer("instance", 8), nn.InstanceNorm2d(8, affine=True)
    for layer in (ours, standard):
        nn.init.constant_(layer.weight, 1.5)
        nn.init.constant_(layer.bias, -0.5)
    torch.testing.assert_close(ours(x), standard(x), atol=1e-5, rtol=1e-5)


@every_norm
def test_exchanging_batch_norms_keeps_weights_and_statistics(norm):
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, eps=1e-3)))
    for value in module[1][0].state_dict().values():
        value.copy_(torch.arange(4.0) + 1 if value.ndim else torch.tensor(7))
    old, pixels = module[1][0], torch.rand(2, 3, 6, 6)
    before = module.eval()(pixels)
    new = replace_batch_norm(module, norm)[1][0]
    assert torch.equal(new.weight, old.weight)
    assert torch.equal(new.bias, old.bias)
    assert new.eps == old.eps
    assert norm == "instance" or torch.equal(module(pixels), before)


def _resnet18():
    return ResNetConfig(layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], num_labels=5)
