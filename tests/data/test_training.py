"""Training with photos kept in memory or in shards: the same run, exactly resumed, its waiting logged."""

import io
import tarfile

import cv2
import pytest
import torch
from pytorch_lightning import Trainer

from descriptors import build, config
from descriptors.callbacks import Throughput
from descriptors.cli import main
from descriptors.clock import PhaseClock
from descriptors.data.bundled import bundled_index
from descriptors.data.decoding import decode_reduced, read
from descriptors.data.framing import least_side
from tests.test_training import SMALL


def train(folder, root, *words, steps=4, resume=None):
    """The weights after `steps` of 4 steps, and what was logged at the last; leaves `folder`/last.ckpt."""
    common = [f"data.root={root}", f"data.cache_dir={folder.parent}/cache", "trainer.max_steps=4", "data.batch_size=4"]
    experiment = config.load("gd_mining", [*SMALL, *common, *words])
    clock = PhaseClock()
    module = build.module(experiment, clock)
    data = build.data_module(experiment, build.photo_index(experiment), module.miner.needs_neighbours, clock)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        log_every_n_steps=1,
        callbacks=[Throughput(clock, 4)],
        use_distributed_sampler=False,
        limit_val_batches=0,
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    trainer.save_checkpoint(folder / "last.ckpt")
    return module.state_dict(), {name: float(value) for name, value in trainer.callback_metrics.items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def photos_as_jpeg(tmp_path_factory):
    """Fourteen real photos large enough to be decoded reduced for squares of 80 px."""
    folder = tmp_path_factory.mktemp("jpeg")
    index = bundled_index(128)
    for number in range(0, 42, 3):
        photo = cv2.resize(index.load(number), (280, 224), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:02d}.jpg"), photo[..., ::-1])
    assert decode_reduced(read(folder / "00.jpg"), "photo", least_side(80)).reduction == 2
    return folder


def test_a_run_with_photos_kept_in_ram_is_the_run_without_bit_for_bit(tmp_path, photos_as_jpeg):
    none, logged = train(tmp_path / "none", photos_as_jpeg, "data.workers=0")
    phases = sum(value for name, value in logged.items() if name.startswith("time/") and name.endswith("_ms"))
    assert 0 < logged["time/data_wait_share"] < 1
    assert logged["time/data_wait_share"] == pytest.approx(logged["time/wait_ms"] / phases, rel=1e-3)
    assert "data/cache_gib" not in logged
    ram, logged = train(tmp_path / "ram", photos_as_jpeg, "data.workers=2", "data.cache=ram")
    assert equal(none, ram)
    assert logged["data/cache_gib"] > 0
    assert {"data/cache_found", "data/cache_decoded"} < logged.keys()


@pytest.mark.parametrize("cache", ["ram", "device"])
def test_a_run_with_photos_kept_in_memory_is_resumed_exactly(cache, tmp_path, photos_as_jpeg):
    words = [f"data.cache={cache}", "data.workers=1"]
    whole, _ = train(tmp_path / "whole", photos_as_jpeg, *words)
    half, _ = train(tmp_path / "half", photos_as_jpeg, *words, steps=2)
    again, logged = train(tmp_path / "again", photos_as_jpeg, *words, resume=tmp_path / "half" / "last.ckpt")
    assert equal(whole, again)
    assert not equal(whole, half)
    assert logged["data/cache_gib"] > 0


def test_a_run_from_shards_is_the_run_from_their_photos(tmp_path, photos_as_jpeg):
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "photos-000000.tar", "w") as tar:
        for path in sorted(photos_as_jpeg.iterdir()):
            member = tarfile.TarInfo(path.name)
            member.size = path.stat().st_size
            tar.addfile(member, io.BytesIO(path.read_bytes()))
    words = ["data.workers=1"]
    folder, _ = train(tmp_path / "folder", photos_as_jpeg, *words)
    assert equal(folder, train(tmp_path / "tar", tmp_path / "shards", *words)[0])


def test_photos_that_do_not_fit_on_the_device_end_with_one_sentence(tmp_path, photos_as_jpeg, capsys):
    words = [*SMALL, f"data.root={photos_as_jpeg}", f"output_dir={tmp_path}/run", f"data.cache_dir={tmp_path}"]
    words += ["data.photo_size=2000", "pairs.crop_size=64", "data.cache=device", "data.cache_gib=0.001"]
    assert main(["train", "in_batch", *words]) != 0
    assert "more than data.cache_gib = 0.001" in capsys.readouterr().err
