"""One answer on every road: accumulation, bf16, torch.compile and two ranks give the plain run's loss curve.

The curves are of 20 steps at the paper's learning rate, and the tolerances absolute. From step to step the loss moves
by up to 0.06, and a network that does not learn leaves the plain curve by 0.004: roads that part by less than that have
trained on the same pairs, mined the same negatives and taken the same steps.
"""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, Trainer
from torch import distributed, multiprocessing, nn
from torch.utils.data import DataLoader

from descriptors import build, config
from descriptors.accumulation import StepLoss
from descriptors.checks import ConfigError
from descriptors.clock import PhaseClock
from descriptors.communication import gradient_bytes, pool_bytes
from descriptors.compiling import check_compiler
from descriptors.distributed import gather_described, message_bytes
from descriptors.figures import read_history
from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import InPairMiner
from descriptors.module import DescriptorModule
from descriptors.networks import Compact
from descriptors.schema import OptimizerSettings
from descriptors.weights import load_network, read_weights
from tests.mining.scenes import scene
from tests.test_distributed import Loss, batch, rows, start
from tests.test_training import SMALL, train, weights

STEPS = 20
COMPILED, RANKS, HALF_PRECISION = 1e-5, 1e-4, 3.8e-3  # tolerances of the loss
CURVE = [f"trainer.max_steps={STEPS}", "trainer.accelerator=cpu", "validation.every_steps=20"]
CURVE += ["optimizer.learning_rate=1e-4", "optimizer.schedule=constant", "network.norm=instance"]


def losses(folder):
    found = torch.tensor(read_history(folder / "metrics.csv").series("train/loss"))
    assert len(found) == STEPS
    return found


def parts_by(first, second):
    return float((losses(first) - losses(second)).abs().max())


@pytest.fixture(scope="module")
def plain(tmp_path_factory, photo_folder):
    """The run that the others are compared with."""
    folder = tmp_path_factory.mktemp("plain")
    assert train("gd_mining", folder, f"data.root={photo_folder}", *CURVE) == 0
    return folder


def way(folder):
    """How far and where the weights went in all steps, as one vector."""
    start = build.module(config.load(str(folder / "config.yaml")), PhaseClock()).network.state_dict()
    end = weights(folder, f"step={STEPS:08d}")
    return torch.cat([(end[f"network.{name}"] - value).flatten() for name, value in start.items()])


def test_half_precision_keeps_the_loss_curve_and_takes_the_same_way(plain, tmp_path, photo_folder):
    """20 steps at this rate move the loss by 0.004 only; the way of the weights is the sharper question."""
    words = [f"data.root={photo_folder}", *CURVE]
    assert train("gd_mining", tmp_path / "bf16", *words, "trainer.precision=bf16") == 0
    assert train("in_pair", tmp_path / "other", *words) == 0
    assert 0 < parts_by(plain, tmp_path / "bf16") < HALF_PRECISION
    ours, half, other = (way(folder) for folder in (plain, tmp_path / "bf16", tmp_path / "other"))
    same, another = (torch.nn.functional.cosine_similarity(ours, one, dim=0) for one in (half, other))
    assert same > 0.8 > 0.5 > another  # 0.89 and 0.30 where this was written


@pytest.mark.slow
def test_a_compiled_network_keeps_the_loss_curve_and_its_files_load_without_compiling(plain, tmp_path, photo_folder):
    compiled = tmp_path / "compiled"
    assert train("gd_mining", compiled, f"data.root={photo_folder}", *CURVE, "trainer.compile=true") == 0
    assert parts_by(plain, compiled) < COMPILED
    last = f"step={STEPS:08d}"
    assert weights(compiled, last).keys() == weights(plain, last).keys()
    assert (
        read_weights(compiled / "weights.safetensors")[0].keys()
        == read_weights(plain / "weights.safetensors")[0].keys()
    )
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = [load_network(run / "weights.safetensors")[0](pixels) for run in (plain, compiled)]
    torch.testing.assert_close(maps[1], maps[0], atol=1e-3, rtol=0)
    resume = [
        f"resume={compiled / 'checkpoints' / last}.ckpt",
        f"trainer.max_steps={STEPS + 1}",
        "trainer.compile=false",
    ]
    assert train("gd_mining", tmp_path / "resumed", f"data.root={photo_folder}", *resume) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("accumulate", "queue"), [(1, 0), (2, 0), (2, 3)])
def test_two_ranks_keep_the_loss_curve_of_one_rank_with_twice_the_batch(accumulate, queue, tmp_path, photo_folder):
    """With accumulation DDP must not average gradients before the step's last batch, and must then average them all."""
    for ranks, share in ((1, 4), (2, 2)):
        words = [*SMALL, *CURVE, f"data.root={photo_folder}", f"data.cache_dir={tmp_path}/cache"]
        words += [f"output_dir={tmp_path / str(ranks)}", f"data.batch_size={share}", f"trainer.devices={ranks}"]
        words += [f"trainer.accumulate={accumulate}", f"miner.queue_batches={queue}"]
        words += ["trainer.strategy=ddp"] if ranks == 2 else []
        command = [sys.executable, "-m", "descriptors", "train", "gd_mining", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=config.REPOSITORY)
        assert done.returncode == 0, done.stderr[-3000:]
    assert parts_by(tmp_path / "1", tmp_path / "2") < RANKS


PHOTOS = 4


def pairs_of(step):
    """Four pairs with 2, 4, 6 and 8 keypoints, in another order each step."""
    whole = replace(batch(), neighbour=None)
    moved = torch.roll(torch.arange(PHOTOS), step)
    other = rows(whole, moved)
    brighter = replace(other.anchor, pixels=other.anchor.pixels * (1 - step / 40))
    return replace(other, anchor=brighter)


class Pairs(LightningDataModule):
    """`pairs_of` every step in `batches` equal parts."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def train_dataloader(self):
        return DataLoader(range(STEPS * self.batches), batch_size=None)

    def on_after_batch_transfer(self, number, dataloader_idx):
        step, part = divmod(int(number), self.batches)
        share = PHOTOS // self.batches
        return rows(pairs_of(step), slice(part * share, (part + 1) * share))


class Curve(Callback):
    """The loss that each step logs."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.values.append(float(trainer.callback_metrics["train/loss"]))


def accumulated(batches, folder, clip=None):
    """(losses, parameters) after 20 steps of in-pair mining with each step's four pairs in so many batches."""
    torch.manual_seed(0)
    network = Compact(dim=16, width=8)
    module = DescriptorModule(network, AveragePrecisionLoss(), InPairMiner(5), OptimizerSettings("adamw", 1e-5), STEPS)
    curve = Curve()
    options = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    options |= {"enable_model_summary": False, "limit_val_batches": 0, "default_root_dir": folder}
    trainer = Trainer(
        **options,
        **{"accelerator": "cpu", "devices": 1, "max_steps": STEPS, "log_every_n_steps": 1, "callbacks": [curve]},
        accumulate_grad_batches=batches,
        gradient_clip_val=clip,
    )
    trainer.fit(module, datamodule=Pairs(batches))
    return torch.tensor(curve.values), torch.cat([each.detach().flatten() for each in network.parameters()])


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_in_pair_mining_in_uneven_batches_accumulated_is_one_batch_of_all(clip, tmp_path):
    """A mean of the batches' means would part from it by 0.01; rounding alone, at this rate, by 3e-6."""
    whole, parameters = accumulated(1, tmp_path, clip)
    assert len(whole) == STEPS
    for batches in (2, 4):
        found, trained = accumulated(batches, tmp_path, clip)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=0)
        torch.testing.assert_close(trained, parameters, atol=1e-5, rtol=0)


def test_a_step_of_two_batches_is_the_mean_over_their_anchors():
    """Worked by hand: slopes 1, 2, 3 of one batch's anchors and 10 of the other's only one, each with 4 slots.

    The mean over the four anchors is (1 + 2 + 3 + 10) / 4 = 4; the mean of the two means would be (2 + 10) / 2 = 6.
    """
    weight = nn.Parameter(torch.tensor(1.0))
    step = StepLoss()
    for slopes in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0])):
        (step.add((weight * slopes).mean(), torch.tensor(float(len(slopes))), slots=4) / 2).backward()
    assert step.end() == 4
    step.correct([weight])
    assert weight.grad == 4


def test_a_step_without_any_usable_anchor_has_no_loss_and_no_gradient():
    weight = nn.Parameter(torch.tensor(1.0))
    step = StepLoss()
    for _ in range(2):
        (step.add(weight * 0, torch.tensor(0.0), slots=4) / 2).backward()
    assert step.end() == 0
    step.correct([weight])
    assert weight.grad == 0


ROWS = config.experiment_names(config.REPOSITORY / "experiments")
NETWORKS = [[], ["network.name=caps", "network.encoder=resnet18"], ["network.fusion=true"], ["loss.name=info_nce"]]


def module_of(name, words):
    stored = ["pairs.stylization.folder=copies"] if name == "gd_mining_stored" else []
    small = [word for word in SMALL if not word.startswith("pairs.")]
    return build.module(config.load(name, [*small, *stored, *words]), PhaseClock())


@pytest.mark.parametrize(
    ("name", "words"), [*((name, []) for name in ROWS), *(("gd_mining", words) for words in NETWORKS[1:])]
)
@pytest.mark.parametrize("keypoints", ["some", "none"])
def test_every_parameter_gets_a_gradient_in_every_step_so_plain_ddp_will_do(name, words, keypoints):
    module, pairs = module_of(name, words), batch()
    if keypoints == "none":
        nowhere = {part: torch.zeros_like(pairs.anchor.valid) for part in ("anchor", "positive", "neighbour")}
        pairs = replace(pairs, **{part: replace(getattr(pairs, part), valid=mask) for part, mask in nowhere.items()})
    module.compare(pairs)[0].backward()
    assert [parameter for parameter, value in module.named_parameters() if value.grad is None] == []
    total = sum(float(value.grad.abs().sum()) for value in module.parameters())
    assert total == 0 if keypoints == "none" else 0 < total < float("inf")


def counted_step(rank, port, folder):
    start(rank, port)
    calls = dict.fromkeys(("all_gather", "reduce_scatter", "all_reduce", "broadcast"), 0)

    def counting(name, plain):
        def call(*arguments, **options):
            calls[name] += 1
            return plain(*arguments, **options)

        return call

    for name in calls:
        setattr(distributed, name, counting(name, getattr(distributed, name)))
    model = Loss("retrieval", "instance")
    model(rows(batch(), slice(2 * rank, 2 * rank + 2))).backward()
    in_step = dict(calls)
    _, pool = scene(2, 3, neighbours=1, seed=rank)
    for dtype in (torch.float32, torch.bfloat16):
        local = replace(pool, descriptor=pool.descriptor.detach().to(dtype, copy=True).requires_grad_())
        gathered = gather_described(local)
        assert gathered.descriptor.dtype == dtype
        (gathered.descriptor * (rank + 1)).sum().backward()
        torch.testing.assert_close(local.descriptor.grad, torch.full_like(local.descriptor, 3.0))
    torch.save({"calls": in_step, "bytes": message_bytes(pool)}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_a_step_is_one_gather_and_one_gradient_back(tmp_path):
    multiprocessing.spawn(counted_step, args=(10_000 + os.getpid() % 10_000, tmp_path), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found["calls"] == {"all_gather": 1, "reduce_scatter": 1, "all_reduce": 1, "broadcast": 0}
        assert found["bytes"] == 9 * (8 * 4 + 8 + 8 + 2 * 4 + 1)  # 9 rows: 8 floats, two ids, a place and a mask


def test_what_the_ranks_tell_each_other_is_counted():
    """By hand: 4 ranks, of which each sends 100 B of keypoints and gets 60 B of gradient from each of 3 others."""
    assert pool_bytes(100, 60, ranks=4) == 3 * 160
    assert gradient_bytes(1000, ranks=4) == 1500  # around the ring twice, 3/4 of 1000 B each time
    assert pool_bytes(100, 60, ranks=1) == gradient_bytes(1000, ranks=1) == 0


def test_a_missing_compiler_is_one_sentence_before_training(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"no 'no-such-compiler' here; install one .* trainer.compile=false"):
        check_compiler("cpu")


def test_missing_headers_of_python_are_one_sentence_before_training(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"Python.h; install them .* trainer.compile=false"):
        check_compiler("cpu")
