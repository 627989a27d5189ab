"""bfloat16 on a CPU that has to emulate it is said, once for each that asks, and is nothing to speak of elsewhere."""

import logging
import platform

import pytest
import torch

import descriptors
from descriptors import bfloat16, config
from descriptors.mining.thresholds import fastest_precision
from descriptors.trainer import check_machine


@pytest.fixture(params=[True, False])
def native(request, monkeypatch):
    monkeypatch.setattr(bfloat16, "is_native", lambda: request.param)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return request.param


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_weights_loaded_with_layers_in_bfloat16(native, precision, caplog):
    descriptors.load("gd_mining", precision=precision)
    assert said(caplog) == (["precision = bf16"] if precision == "bf16" and not native else [])


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_training_with_layers_in_bfloat16(native, precision, caplog):
    check_machine(config.load("in_pair", [f"trainer.precision={precision}", "trainer.accelerator=cpu"]))
    assert said(caplog) == (["trainer.precision = bf16"] if precision == "bf16" and not native else [])


@pytest.mark.parametrize(("device", "machine"), [("cuda", "x86_64"), ("cpu", "arm64")])
def test_gpus_and_other_cpus_are_not_spoken_of(device, machine, monkeypatch, caplog):
    monkeypatch.setattr(bfloat16, "is_native", lambda: False)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    bfloat16.warn_if_slow(device, "precision = bf16")
    assert said(caplog) == []


def test_mining_multiplies_in_what_is_fastest(native):
    assert fastest_precision() == (torch.bfloat16 if native else torch.float32)


def said(caplog):
    return [record.args[0] for record in caplog.records if record.levelno == logging.WARNING]
