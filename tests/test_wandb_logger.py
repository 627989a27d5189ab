from descriptors import config
from descriptors.trainer import _wandb_logger


def test_a_run_logged_offline_prints_no_warning(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = _wandb_logger(config.load("gd_mining", []), tmp_path).experiment
    run.log({"train/loss": 1.0})
    run.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    written = capfd.readouterr()
    assert "WARN" not in (written.out + written.err).upper()
