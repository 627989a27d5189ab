"""Numbers that go wrong: nan and infinity in a step, batches with next to nothing in them, rows without a direction."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision
from safetensors import safe_open
from torch import distributed

from descriptors import config
from descriptors.bad_steps import SCALE_OF_ITS_OWN, BadSteps, BadStepsError
from descriptors.batch import Described
from descriptors.checkpoints import read_checkpoint
from descriptors.figures import read_history
from descriptors.losses import AveragePrecisionLoss, InfoNCELoss, TripletLoss
from descriptors.mining import InBatchMiner
from descriptors.mining.queue import DescriptorQueue
from descriptors.module import DescriptorModule
from descriptors.networks import Caps, Compact, L2Net
from descriptors.networks.sampling import sample
from descriptors.schema import OptimizerSettings
from tests.robustness.record import record
from tests.test_distributed import KEYPOINTS, MINERS, PHOTOS, batch
from tests.test_training import SMALL, train

LOSSES = {"average_precision": AveragePrecisionLoss, "triplet": TripletLoss, "info_nce": InfoNCELoss}
NETWORKS = {
    "compact": Compact,
    "l2net": L2Net,
    "caps": lambda dim, width, norm: Caps(dim=dim, encoder="resnet18", norm=norm),
}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class InfiniteGradient(torch.autograd.Function):
    """The identity, whose gradient overflows."""

    @staticmethod
    def forward(context, values):
        return values.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * torch.inf


class Spoiling:
    """Spoils the loss or its gradient at the batches that are named by their number since the run began."""

    def __init__(self, monkeypatch, loss=(), gradient=()):
        self.batch, self.met = 0, 0
        self.bad = {"loss": set(loss), "gradient": set(gradient)}
        forward, step = AveragePrecisionLoss.forward, DescriptorModule.training_step

        def training_step(module, pairs, batch_idx):
            self.batch = module.global_step * module.trainer.accumulate_grad_batches
            self.batch += batch_idx % module.trainer.accumulate_grad_batches
            return step(module, pairs, batch_idx)

        def spoiled(loss, positive, negative, valid):
            values = forward(loss, positive, negative, valid)
            self.met += self.batch in self.bad["loss"] | self.bad["gradient"]
            if self.batch in self.bad["gradient"]:
                return InfiniteGradient.apply(values)
            return values * math.nan if self.batch in self.bad["loss"] else values

        monkeypatch.setattr(DescriptorModule, "training_step", training_step)
        monkeypatch.setattr(AveragePrecisionLoss, "forward", spoiled)


def words(photo_folder, *more):
    common = [
        f"data.root={photo_folder}",
        "network.norm=batch",
        "optimizer.schedule=cosine",
        "optimizer.warmup_steps=0",
    ]
    return [*common, "checkpoint.every_steps=1", "checkpoint.keep=99", "validation.every_steps=99", *more]


def states(folder):
    """step -> what its checkpoint holds."""
    found = sorted((folder / "checkpoints").glob("step=*.ckpt"))
    return {int(path.stem.removeprefix("step=")): read_checkpoint(path) for path in found}


def same_weights(one, two):
    return all(torch.equal(one["state_dict"][key], two["state_dict"][key]) for key in one["state_dict"])


def moments(state):
    (optimizer,) = state["optimizer_states"]
    return [value for slots in optimizer["state"].values() for value in slots.values()]


@pytest.fixture(params=[False, True], ids=["told by the host", "fused, as on a GPU"])
def fused(request, monkeypatch):
    """Whether the optimiser leaves out bad steps by itself, and nobody waits to hear of it."""
    if request.param:
        monkeypatch.setattr(DescriptorModule, "_fused", lambda _: True)
    return request.param


@pytest.mark.usefixtures("fused")
def test_steps_that_are_not_finite_are_left_out_and_counted(tmp_path, photo_folder, monkeypatch):
    spoiling = Spoiling(monkeypatch, loss=[2, 3], gradient=[5])
    assert train("in_batch", tmp_path, *words(photo_folder, "trainer.max_steps=8", "optimizer.weight_decay=0.1")) == 0
    assert spoiling.met == 3
    kept = states(tmp_path)
    assert any("running_mean" in key for key in kept[1]["state_dict"])
    for step in range(2, 9):  # of step number `step - 1`
        skipped = step - 1 in (2, 3, 5)
        assert same_weights(kept[step - 1], kept[step]) == skipped, step
        equal = [torch.equal(*pair) for pair in zip(moments(kept[step - 1]), moments(kept[step]), strict=True)]
        assert all(equal) == skipped, step
        rates = [kept[number]["optimizer_states"][0]["param_groups"][0]["lr"] for number in (step - 1, step)]
        assert rates[1] < rates[0], "the schedule goes on"
    assert json.loads((tmp_path / "summary.json").read_text())["counts"]["skipped_steps"] == 3
    history = read_history(tmp_path / "metrics.csv")
    assert history.series("train/skipped_steps") == [0, 0, 0, 1, 2, 2, 3, 3]  # before each step
    assert history.steps("train/loss") == [0, 1, 4, 5, 6, 7]
    assert "skipped steps</th><td>3</td>" in (tmp_path / "report.html").read_text()
    record("steps with nan or infinity", tried=3, left_out=3, ended_the_run=0, crashed=0)


@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_resumed_run_leaves_out_the_same_steps_and_stops_at_the_same_one(
    accumulate, tmp_path, photo_folder, monkeypatch, capsys
):
    steps = (1, 2, 4, 5, 6)
    bad = [accumulate * step + accumulate - 1 for step in steps]
    Spoiling(monkeypatch, loss=bad[::2], gradient=bad[1::2])
    more = [f"trainer.accumulate={accumulate}", "data.batch_size=2", "trainer.stop_after_bad_steps=3"]
    more = words(photo_folder, "trainer.max_steps=8", *more)
    assert train("in_batch", tmp_path / "whole", *more) == 2
    whole = capsys.readouterr().err.splitlines()[-1]
    for start in (2, 5):  # each after the first of the steps in a row
        checkpoint = tmp_path / "whole" / "checkpoints" / f"step={start:08d}.ckpt"
        assert train("in_batch", tmp_path / f"resumed{start}", *more, f"resume={checkpoint}") == 2
        assert capsys.readouterr().err.splitlines()[-1] == whole.replace("/whole/", f"/resumed{start}/")
        one, two = states(tmp_path / "whole"), states(tmp_path / f"resumed{start}")
        assert {step for step in one if step > start} <= set(two)
        for step, state in two.items():
            assert same_weights(one[step], state)
            assert state["counts"] == one[step]["counts"]
            assert state["callbacks"]["BadSteps"] == one[step]["callbacks"]["BadSteps"]
    record("steps with nan or infinity", tried=12, left_out=9, ended_the_run=3, crashed=0)


def test_too_many_in_a_row_end_the_run_with_the_batch_in_a_file(tmp_path, photo_folder, monkeypatch, capsys, fused):
    describe, calls = Compact.describe, []

    def spoiled(network, pixels, xy):  # by a map that overflows: miners pass over what is nan
        calls.extend([network.training] * network.training)
        return describe(network, pixels, xy) * (math.nan if network.training and len(calls) > 2 else 1)

    monkeypatch.setattr(Compact, "describe", spoiled)
    more = ["trainer.max_steps=40", "validation.every_steps=4"]  # so that a step is drawn that is left out
    assert train("gd_mining", tmp_path, *words(photo_folder, *more)) == 2
    assert len(calls) == 12 + fused  # told of the last one while the next is under way
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: the loss or its gradient was not finite in 10 steps in a row, up to step 11 (")
    assert f"{tmp_path}/bad_batch.safetensors" in said
    with safe_open(tmp_path / "bad_batch.safetensors", framework="pt") as file:
        shapes = {name: file.get_tensor(name).shape for name in file.keys()}  # noqa: SIM118 (no mapping)
        assert file.metadata() == {"step": "11"}
        assert torch.equal(file.get_tensor("anchor.keypoint"), file.get_tensor("positive.keypoint"))
    for side in ("anchor", "positive", "neighbour"):
        assert shapes[f"{side}.pixels"] == (4, 3, 64, 64)
        assert shapes[f"{side}.xy"] == (4, 24, 2)
        assert shapes[f"{side}.valid"] == shapes[f"{side}.keypoint"] == (4, 24)
        assert shapes[f"{side}.image"] == (4,)
    kept = states(tmp_path)
    assert max(kept) == 11 + fused
    assert same_weights(kept[2], kept[11 + fused])
    record("steps with nan or infinity", tried=10, left_out=9, ended_the_run=1, crashed=0)


class Tiny(LightningModule):
    """One weight, whose gradient is told."""

    def __init__(self, gradients, losses=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.gradients, self.losses = gradients, losses or [1.0] * len(gradients)
        self.bad_steps, self.seen = BadSteps(3), []

    def configure_callbacks(self):
        return [self.bad_steps]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(len(self.gradients)))

    def training_step(self, batch, batch_idx):
        self.bad_steps.note(replace(pairs(), neighbour=None), torch.tensor(math.isfinite(self.losses[batch_idx])))
        return self.weight * self.gradients[batch_idx]

    def on_train_batch_end(self, *_):
        self.seen.append((float(self.weight.detach()), self.bad_steps.skipped))


def fit(module, folder, scaler=None, accumulate=1):
    plugins = [MixedPrecision("16-mixed", "cpu", scaler)] if scaler else []
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, plugins=plugins, default_root_dir=folder, **quiet)
    trainer.accumulate_grad_batches = accumulate
    trainer.fit(module)
    return module


def test_an_infinite_gradient_that_is_the_scalers_is_not_counted(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    module = fit(Tiny([1.0, torch.inf, torch.inf, 1.0]), tmp_path, scaler)
    assert module.seen == [(-1.0, 0), (-1.0, 0), (-1.0, 0), (-2.0, 0)]  # the scaler left both out
    assert scaler.get_scale() == 2.0
    module = fit(Tiny([1.0, 1.0, torch.nan, 1.0], [1.0, torch.nan, torch.nan, 1.0]), tmp_path, scaler)
    assert module.seen == [(-1.0, 0), (-1.0, 1), (-1.0, 2), (-2.0, 2)]


def test_an_infinite_gradient_at_scale_one_is_not_the_scalers(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=2 * SCALE_OF_ITS_OWN)
    module = fit(Tiny([torch.inf, torch.inf, 1.0, torch.inf]), tmp_path, scaler)
    assert module.seen == [(0.0, 0), (0.0, 1), (-1.0, 1), (-1.0, 2)]


def test_without_a_scaler_every_gradient_that_is_not_finite_counts_and_large_ones_do_not(tmp_path):
    module = fit(Tiny([torch.inf, 3e38, torch.nan, 1.0]), tmp_path)
    assert [skipped for _, skipped in module.seen] == [1, 1, 2, 2]


class Fused(Tiny):
    """An optimiser that is told on the device, and a buffer that every batch changes."""

    def __init__(self, gradients, losses=None):
        super().__init__(gradients, losses)
        self.register_buffer("batches", torch.zeros(()))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1.0, fused=True)

    def training_step(self, batch, batch_idx):
        self.batches += 1
        return super().training_step(batch, batch_idx)


def test_a_step_of_several_batches_is_left_out_with_all_that_they_did(tmp_path):
    module = fit(Fused([1.0, 1.0, 1.0, torch.nan, 1.0, 1.0, torch.inf, 1.0]), tmp_path, accumulate=2)
    assert module.bad_steps.skipped == 2
    assert float(module.batches) == 4
    assert float(module.weight.detach()) == pytest.approx(-2)  # Adam's first steps are of the learning rate's size


@pytest.mark.parametrize("kind", [Tiny, Fused])
def test_a_limit_that_is_reached_at_the_last_step_ends_the_run_too(tmp_path, kind):
    with pytest.raises(BadStepsError, match="not finite in 3 steps in a row, up to step 3 "):
        fit(kind([1.0, torch.nan, torch.nan, torch.nan]), tmp_path)
    assert (tmp_path / "bad_batch.safetensors").is_file()


def test_what_a_run_that_was_broken_off_left_behind_is_not_counted_in_the_next(tmp_path):
    module = Fused([torch.nan, 1.0])

    def broken_off(*_):
        raise RuntimeError("no more")

    module.on_train_batch_end = broken_off
    with pytest.raises(RuntimeError, match="no more"):
        fit(module, tmp_path)
    del module.on_train_batch_end
    module.gradients = [1.0, 1.0]
    assert fit(module, tmp_path).bad_steps.skipped == 0


def pairs():
    return batch()


def with_valid(pairs, kind):
    """The batch with few valid keypoints; those of neighbours stay."""
    valid = torch.zeros(PHOTOS, KEYPOINTS, dtype=torch.bool)
    if kind == "one keypoint":
        valid[2, 4] = True
    elif kind == "one photo":
        valid[1] = True
    return replace(pairs, **{side: replace(getattr(pairs, side), valid=valid) for side in ("anchor", "positive")})


def with_pixels(pairs, kind):
    """The batch with photos in which nothing is to be seen."""
    level = {"black": 0.0, "white": 1.0, "even": 0.4}[kind]
    sides = {side: replace(part, pixels=torch.full_like(part.pixels, level)) for side, part in crops(pairs)}
    return replace(pairs, **sides)


def crops(pairs):
    return [(side, getattr(pairs, side)) for side in ("anchor", "positive", "neighbour") if getattr(pairs, side)]


KINDS = ("no keypoint", "one keypoint", "one photo", "black", "white", "even")
COMBINED = [(miner, "average_precision", "compact", "instance") for miner in MINERS]
COMBINED += [("in_batch_full", loss, "compact", "batch") for loss in LOSSES]
COMBINED += [("retrieval", "info_nce", "l2net", "batch"), ("retrieval", "average_precision", "caps", "instance")]


@pytest.mark.parametrize(("miner", "loss", "network", "norm"), COMBINED)
def test_a_batch_with_next_to_nothing_in_it_gives_a_finite_loss_and_gradient(miner, loss, network, norm):
    whole = pairs() if miner == "retrieval" else replace(pairs(), neighbour=None)
    for kind in KINDS:
        torch.manual_seed(0)
        built = NETWORKS[network](dim=16, width=8, norm=norm)
        module = DescriptorModule(built, LOSSES[loss](), MINERS[miner](), OptimizerSettings(), 10)
        value, step = module.compare(
            with_valid(whole, kind) if "o " in kind or "one" in kind else with_pixels(whole, kind)
        )
        value.backward()
        gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
        assert value.isfinite(), kind
        assert all(gradient.isfinite().all() for gradient in gradients), kind
        assert max(float(gradient.abs().max()) for gradient in gradients) < 1e4, "no row without a direction has a say"
        assert bool(step.finite)
        assert kind != "no keypoint" or int(step.count) == 0
    record("batches with next to nothing in them", tried=len(KINDS), finite=len(KINDS), crashed=0)


@pytest.mark.parametrize("level", [0, pytest.param(77, marks=pytest.mark.slow)])
def test_photos_without_anything_to_see_are_trained_on_and_counted(level, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):  # each of its own size: equal files would count as one photo
        cv2.imwrite(str(folder / f"{number}.png"), np.full((96, 100 + number, 3), level, np.uint8))
    assert train("in_batch_full", tmp_path / "run", f"data.root={folder}", "trainer.max_steps=3") == 0
    counts = json.loads((tmp_path / "run" / "summary.json").read_text())["counts"]
    assert counts["skipped_steps"] == 0
    assert counts["batches_without_anchors"] == 3
    assert read_history(tmp_path / "run" / "metrics.csv").series("train/loss") == [0, 0, 0]
    record("batches with next to nothing in them", tried=3, finite=3, crashed=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-12, 1e-7, 1e-5, 1e-3, 1.0])
def test_short_rows_are_read_with_finite_gradients_in_every_precision(dtype, length):
    torch.manual_seed(0)
    dense = (F.normalize(torch.randn(2, 16, 4, 4), dim=1) * length).to(dtype).requires_grad_()
    described = sample(dense, torch.rand(2, 9, 2) * 12, 4, 0.0)
    (described * torch.randn_like(described)).mean().backward()
    assert described.dtype == torch.float32
    assert described.isfinite().all()
    assert dense.grad.isfinite().all()
    norm = described.norm(dim=-1)
    assert ((norm - 1).abs().lt(1e-5) | norm.eq(0)).all()
    if length >= 1e-3:
        assert norm.gt(0).all()
        assert dense.grad.abs().max() > 0
    record("short rows and losses in three precisions", tried=1, finite=1)


def test_a_map_with_nan_does_not_look_like_one_without_direction():
    dense = torch.ones(1, 8, 3, 3)
    dense[0, 3] = torch.nan
    assert sample(dense, torch.ones(1, 1, 2), 1, 0.0).isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients_are_finite_at_the_ends_of_similarity_in_every_precision(name, dtype):
    ends = torch.tensor([-1.0, -1e-7, 0.0, 1e-7, 1 - 1e-7, 1.0, 1.0 + 1e-6], dtype=dtype)
    positive, negative = (side.clone().requires_grad_() for side in torch.meshgrid(ends, ends, indexing="ij"))
    valid = torch.ones(49, 3, dtype=torch.bool)
    valid[::3, 1:] = False
    valid[::7] = False
    losses = LOSSES[name]()(positive.flatten(), negative.flatten()[:, None].expand(-1, 3), valid)
    losses.sum().backward()
    for values in (losses, positive.grad, negative.grad):
        assert values.isfinite().all()
    record("short rows and losses in three precisions", tried=49, finite=49)


def keypoints(count, seed):
    generator = torch.Generator().manual_seed(seed)
    descriptor = F.normalize(torch.randn(count, 16, generator=generator), dim=1)
    image = torch.arange(count) // 10
    return Described(descriptor, image, torch.arange(count), torch.rand(count, 2), torch.ones(count, dtype=torch.bool))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("side", ["query", "pool", "both"])
@pytest.mark.parametrize("share", ["one row", "all rows", "one number"])
@pytest.mark.parametrize("chunk", [8, 4096])
def test_miners_survive_descriptors_that_are_not_finite(value, side, share, chunk):
    query = pool = keypoints(200, 0)
    spoiled = pool.descriptor.clone()
    spoiled[{"one row": 17, "all rows": slice(None), "one number": (17, 3)}[share]] = value
    spoiled = replace(pool, descriptor=spoiled)
    query, pool = (spoiled if side in (name, "both") else keypoints(200, 0) for name in ("query", "pool"))
    negatives = InBatchMiner(5, chunk=chunk).mine(query, pool)
    assert negatives.index.shape == negatives.valid.shape == (200, 5)
    assert int(negatives.index.min()) >= 0
    assert int(negatives.index.max()) < 200
    record("mining with nan and infinity", tried=1, survived=1)


def test_the_queue_keeps_no_descriptor_that_is_not_finite():
    queue, positives = DescriptorQueue(2), keypoints(30, 1)
    spoiled = positives.descriptor.clone()
    spoiled[4, 2], spoiled[9] = torch.nan, torch.inf
    queue.push(replace(positives, descriptor=spoiled), step=0)
    behind = queue.behind(positives)
    assert behind.descriptor.isfinite().all()
    assert behind.valid[30:60].nonzero()[:, 0].tolist() == [row for row in range(30) if row not in (4, 9)]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_checkpoint_of_either_kind_of_optimiser_is_gone_on_from_by_the_other(
    precision, tmp_path, photo_folder, monkeypatch
):
    more = words(photo_folder, "trainer.max_steps=4", "optimizer.clip_norm=1", f"trainer.precision={precision}")
    for kind in (False, True):
        monkeypatch.setattr(DescriptorModule, "_fused", lambda _, kind=kind: kind)
        assert train("in_batch", tmp_path / f"{kind}", *more) == 0
    for kind in (False, True):
        checkpoint = tmp_path / f"{not kind}" / "checkpoints" / "step=00000002.ckpt"
        monkeypatch.setattr(DescriptorModule, "_fused", lambda _, kind=kind: kind)
        assert train("in_batch", tmp_path / f"on{kind}", *more, f"resume={checkpoint}") == 0
    ended = {name: states(tmp_path / name)[4]["state_dict"] for name in ("False", "True", "onFalse", "onTrue")}
    for name, found in ended.items():
        for key, value in found.items():
            torch.testing.assert_close(value, ended["False"][key], atol=1e-4, rtol=0, msg=f"{name} {key}")


@pytest.mark.slow
def test_two_ranks_leave_out_the_same_steps_and_stop_together(tmp_path, photo_folder):
    """One rank's loss, then one rank's gradient, then one rank's loss for good."""
    words = [f"data.root={photo_folder}", "trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    words += ["data.batch_size=2", "network.norm=frozen", "loss.name=tests.robustness.test_numbers:OneRanksLoss"]
    words += ["trainer.max_steps=12", "trainer.stop_after_bad_steps=3", "checkpoint.every_steps=1"]
    words += ["checkpoint.keep=99", "validation.every_steps=99"]
    command = [sys.executable, "-m", "descriptors", "train", "in_batch", *SMALL, *words]
    command += [f"output_dir={tmp_path}", f"data.cache_dir={tmp_path}/cache"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=config.REPOSITORY)
    assert done.returncode == 2, done.stderr
    assert "not finite in 3 steps in a row, up to step 8 " in done.stderr
    kept = states(tmp_path)
    left_out = [step for step in kept if step - 1 in kept and same_weights(kept[step - 1], kept[step])]
    assert left_out == [step + 1 for step in (2, 4, 6, 7)]
    for name in ("bad_batch", "bad_batch_rank1"):
        with safe_open(tmp_path / f"{name}.safetensors", framework="pt") as file:
            assert file.get_tensor("anchor.pixels").shape == (2, 3, 64, 64)
    assert max(kept) == 8
    assert kept[8]["counts"]["skipped_steps"] == 4
    record("steps with nan or infinity", tried=5, left_out=4, ended_the_run=1, crashed=0)


class OneRanksLoss(AveragePrecisionLoss):
    """Not finite on the second rank alone; called once a step."""

    def __init__(self, settings):
        super().__init__(settings.bins)
        self.step = -1

    def forward(self, positive, negative, valid):
        self.step += 1
        values = super().forward(positive, negative, valid)
        if distributed.get_rank() == 0:
            return values
        if self.step == 4:
            return InfiniteGradient.apply(values)
        return values * math.nan if self.step == 2 or self.step >= 6 else values
