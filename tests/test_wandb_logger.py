import wandb

from descriptors import config
from descriptors.run import train

SMALL = (
    "scale=laptop trainer.max_steps=1 trainer.progress_bar=false data.workers=0 data.batch_size=2 network.width=8 "
    "pairs.crop_size=64 data.photo_size=96 pairs.keypoints.count=20 validation.pairs=4 validation.gallery=2 "
    "evaluate_at_end=false logger=wandb"
)


def test_two_runs_of_one_process_are_two_offline_runs_without_a_warning(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("first", "second"):
        train(config.load("in_batch", [*SMALL.split(), f"output_dir={tmp_path / name}"]))
        assert wandb.run is None
        assert len(list(tmp_path.glob(f"{name}/wandb/offline-run-*/*.wandb"))) == 1
    written = capfd.readouterr()
    assert "WARN" not in (written.out + written.err).upper()
