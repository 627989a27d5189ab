"""The device that is not there keeps a device's rules, and all that trains keeps them too."""

import itertools

import pytest
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy

from descriptors import trainer
from descriptors.cli import main
from descriptors.config import REPOSITORY, experiment_names
from descriptors.later import Answer
from descriptors.module import DescriptorModule
from descriptors.pairs.generator import PairGenerator
from descriptors.pairs.stylization import ColourTransport
from tests.pairs.test_generator import pair_settings, photo_batch
from tests.pretended_cuda import CUDA, PretendedCuda
from tests.robustness.faults import leave_pictures_out
from tests.test_training import SMALL


@pytest.fixture(name="cuda")
def pretended():
    with PretendedCuda() as cuda:
        yield cuda


# --- its rules ----------------------------------------------------------------------------------------------------


def test_tensors_say_where_they_are(cuda):
    host, there = torch.ones(2), torch.ones(2, device="cuda")
    results = [there + 1, there[0], there.double(), torch.zeros_like(there), there.new_ones(3)]
    results += [host.to("cuda"), host.to(torch.device("cuda")), host.cuda()]
    assert {result.device for result in results} == {CUDA}
    assert {result.device.type for result in (host, host + 1, there.cpu(), there.to("cpu"))} == {"cpu"}
    module = torch.nn.Linear(2, 2).to(CUDA)
    assert module.weight.is_cuda
    assert module(there).is_cuda
    assert not module.cpu().bias.is_cuda


@pytest.mark.parametrize(
    "mix",
    [
        lambda host, there: host + there,
        lambda host, there: there @ host,
        lambda host, there: torch.cat([there, host]),
        lambda host, there: torch.stack([there.sum(), host.sum()]),
        lambda host, there: there.index_select(0, torch.tensor([0])),
        lambda host, there: torch.where(there > 0, there, host),
        lambda host, there: there.index_select(0, torch.tensor(0)),
        lambda host, there: host[there.long()],
        lambda host, there: host.__setitem__(torch.tensor([0, 1]), there),
        lambda host, there: there.__setitem__(torch.tensor([0, 1]), host),
        lambda host, there: host.sum().add_(there.sum()),
        lambda host, there: torch.sum(there, 0, out=host[0]),
        lambda host, there: torch._foreach_add_([there.sum()], [host.sum()]),
    ],
)
def test_tensors_of_two_devices_do_not_mix(cuda, mix):
    with pytest.raises(RuntimeError, match="two devices"):
        mix(torch.ones(2), torch.ones(2, device="cuda"))


def test_a_number_of_the_host_may_stand_in_arithmetic(cuda):
    assert (torch.ones(2, device="cuda") * torch.tensor(3.0)).tolist() == [3, 3]


def test_numpy_does_not_see_the_device(cuda):
    with pytest.raises(TypeError, match="on the device"):
        torch.ones(2, device="cuda").numpy()


@pytest.mark.parametrize(
    ("waits", "work"),
    [
        (1, lambda host, there: bool(there[0] > 0)),
        (1, lambda host, there: there.sum().item()),
        (1, lambda host, there: there.tolist()),
        (1, lambda host, there: there.nonzero()),
        (1, lambda host, there: there[there > 0]),
        (1, lambda host, there: there[[0, 1]]),
        (1, lambda host, there: there.cpu()),
        (1, lambda host, there: host.to("cuda")),
        (1, lambda host, there: torch.tensor([1.0], device="cuda")),
        (1, lambda host, there: there.copy_(host)),
        (1, lambda host, there: there.copy_(host, non_blocking=True)),
        (0, lambda host, there: there.copy_(host.pin_memory(), non_blocking=True)),
        (1, lambda host, there: host.copy_(there, non_blocking=True)),
        (0, lambda host, there: torch.empty(2, pin_memory=True).copy_(there, non_blocking=True)),
        (1, lambda host, there: host.to("cuda", non_blocking=True)),
        (0, lambda host, there: host.pin_memory().to("cuda", non_blocking=True)),
        (0, lambda host, there: torch.zeros(3, device="cuda")),
        (0, lambda host, there: there[there.long()]),
        (0, lambda host, there: there[1:].square().sum()),
        (0, lambda host, there: host.nonzero()),
    ],
)
def test_it_is_known_where_the_host_waits(cuda, waits, work):
    host, there = torch.zeros(2), torch.zeros(2, device="cuda")
    cuda.clear()
    work(host, there)
    assert sum(cuda.waits.values()) == waits


def test_what_nobody_waits_for_is_on_the_host_once_its_event_has_come(cuda):
    answer = Answer(torch.ones(2, device="cuda").sum() > 1)
    assert not bool(answer._host)
    assert answer.read()
    assert not +cuda.waits


def test_gradients_stay_on_the_device_and_are_counted(cuda):
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(context, value):
            return value * 2

        @staticmethod
        def backward(context, gradient):
            assert gradient.is_cuda
            return gradient * 2

    weight = torch.ones(2, device="cuda", requires_grad=True)
    Doubled.apply(weight).sum().backward()
    assert weight.grad.is_cuda
    assert weight.grad.tolist() == [2, 2]
    assert sum(cuda.starts.values()) == 4  # product, sum, ones to begin with, product


# --- pairs --------------------------------------------------------------------------------------------------------


def tensors_of(pairs):
    for name, crops in (("anchor", pairs.anchor), ("positive", pairs.positive), ("neighbour", pairs.neighbour)):
        yield from ((f"{name}.{field}", value) for field, value in vars(crops).items())
    yield "homography", pairs.homography
    yield from pairs.counts.items()


FAST = (("gftt", "batch"), ("corners", "mixed"), ("stored", None))


@pytest.mark.parametrize(
    ("detector", "styles"),
    [
        pair if pair in FAST else pytest.param(*pair, marks=pytest.mark.slow)
        for pair in itertools.product(("gftt", "dog", "corners", "stored"), ("batch", "mixed", None))
    ],
)
def test_pairs_are_made_on_the_device_without_waiting_and_are_those_of_the_cpu(styles, detector):
    stored = 90 * torch.rand(6, 30, 2, generator=torch.Generator().manual_seed(1))
    photos = photo_batch(6, stored_keypoints=stored)._replace(photo=torch.tensor([1, 2, 3, 4, 5, -1]))
    settings = pair_settings("wide", detector, method="colour_transport", styles=styles or "batch", mode="mixed")
    settings.photometric.preset = "strong"
    if styles is None:
        photos = photos._replace(styled_pixels=photos.pixels.flip(1), has_style=torch.arange(6) > 1)
        settings.stylization.method = "stored"
    style_photos = photos.pixels[:, :, :60, :70] / 255

    def generator():
        return PairGenerator(settings, ColourTransport(settings.stylization, style_photos))

    expected = generator()(photos)
    with PretendedCuda() as cuda:
        make, there = generator(), photos.to("cuda")
        make(there)  # constants are made once
        cuda.clear()
        found = make(there)
        assert not +cuda.waits
        assert {name for name, value in tensors_of(found) if not value.is_cuda} == set()
    for (name, value), (_, other) in zip(tensors_of(found), tensors_of(expected), strict=True):
        torch.testing.assert_close(value, other, atol=2e-5, rtol=0, msg=name)


def test_a_batch_that_was_moved_whole_is_refused_with_the_way_out(cuda):
    photos = photo_batch(2)
    moved = type(photos)(*(field.to("cuda") for field in photos))
    with pytest.raises(ValueError, match=r"numbers are on cuda:0, .* move a batch by its own `to\(device\)`"):
        PairGenerator(pair_settings())(moved)


# --- whole runs ---------------------------------------------------------------------------------------------------


WAITING = {"mining/half_precision.py", "batch.py"}  # the latter for photos, which are pinned where there is a device


class OneDevice(SingleDeviceStrategy):
    def __init__(self, *_):
        super().__init__(device=CUDA)


def trained(monkeypatch, folder, name, *words):
    """Where each step of a run by the real command waited."""
    monkeypatch.setattr(trainer, "strategy_of", OneDevice)
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda *_: None)
    words = [*SMALL, f"output_dir={folder}/run", f"data.cache_dir={folder}", "trainer.max_steps=4", *words]
    waits = []
    with PretendedCuda() as cuda:

        def step_ended(*_):
            waits.append({place.split(":")[0] for place in +cuda.waits})
            cuda.clear()

        monkeypatch.setattr(DescriptorModule, "on_train_batch_end", step_ended, raising=False)
        assert main(["train", name, *words, "trainer.log_every_steps=3"]) == 0
    return waits


@pytest.mark.parametrize(
    "name",
    [
        name if name == "gd_mining" else pytest.param(name, marks=pytest.mark.slow)
        for name in experiment_names(REPOSITORY / "experiments")
    ],
)
def test_every_experiment_trains_on_the_device_and_its_steps_wait_in_the_search_for_negatives_alone(
    name, monkeypatch, tmp_path, photo_folder
):
    leave_pictures_out(monkeypatch.setattr)
    words = [f"pairs.stylization.folder={photo_folder}"] if name == "gd_mining_stored" else []
    waits = trained(monkeypatch, tmp_path, name, f"data.root={photo_folder}", "optimizer.clip_norm=1", *words)
    assert len(waits) == 4
    assert waits[1] <= WAITING  # of the third, figures are logged


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["data.cache=device"],
        ["data.cache=ram", "data.workers=1"],
        ["trainer.accumulate=2", "data.batch_size=2"],
        ["network.name=caps", "network.encoder=resnet18", "network.width=16", "network.norm=batch"],
        ["pairs.photometric.preset=strong", "pairs.homography.preset=wide", "pairs.keypoints.detector=corners"],
        ["miner.queue_batches=2", "miner.queue_after_steps=1"],
    ],
    ids=" ".join,
)
def test_other_settings_train_there_too(words, monkeypatch, tmp_path, photo_folder):
    waits = trained(monkeypatch, tmp_path, "gd_mining", f"data.root={photo_folder}", *words)
    assert waits[1] <= WAITING


@pytest.mark.slow
def test_other_commands_keep_the_devices_rules(tmp_path, photo_folder):
    photos = [str(path) for path in sorted(photo_folder.rglob("*.*g"))[:2]]
    commands = [
        ["match", *photos, "--describer", "gd_mining", "--detector", "gftt", "--output", f"{tmp_path}/match"],
        ["match", *photos, "--describer", "in_batch_full@bf16", "--output", f"{tmp_path}/half"],
        ["index", str(photo_folder), "--output", f"{tmp_path}/index.csv", "--cache", f"{tmp_path}/cache"],
        ["evaluate", "gd_mining", "rootsift", "--protocol", "bundled", "--keypoints", "100", "--no-cache"],
    ]
    for command in commands:
        with PretendedCuda() as cuda:
            assert main([*command, "--device", "cuda"]) == 0
        assert sum(cuda.starts.values()) > 50
