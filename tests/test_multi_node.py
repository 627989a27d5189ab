"""Several nodes, the ordinary way: processes that torchrun or srun started train like one rank, in rank 0's folder."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from descriptors import config
from descriptors.checks import ConfigError
from descriptors.distributed import is_main
from descriptors.figures import read_history
from descriptors.launching import check_started, launcher
from tests.ending import SHOWS_STACKS, check_all_end
from tests.robustness.forks import LAUNCHERS
from tests.robustness.scenes import free_port
from tests.test_training import SMALL, weights

SLURM = {"SLURM_JOB_ID": "123456", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1"}
SLURM |= {"SLURM_NNODES": "2", "SLURM_LOCALID": "0", "SLURM_NODELIST": "127.0.0.1"}
STEPS = 6


@pytest.fixture
def environment(monkeypatch):
    """The environment without any launcher's variables; call it with those of one."""
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)

    def variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return variables


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),  # torchrun
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # the first process of its second node
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),  # started by Lightning
        ({"NODE_RANK": "1"}, False),  # Lightning's launcher on the second node
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
        ({"SLURM_PROCID": "1", "RANK": "0", "LOCAL_RANK": "0"}, True),  # torchrun inside a SLURM job
    ],
)
def test_the_first_rank_is_known_from_the_launchers_variables(environment, variables, first):
    environment(**variables)
    assert is_main() is first


def test_slurm_is_read_from_its_variables_and_never_requeues_in_the_middle_of_a_step(environment):
    environment(**SLURM, SLURM_PROCID="1", SLURM_NODEID="1")
    found = launcher()
    assert isinstance(found, SLURMEnvironment)
    assert (found.world_size(), found.global_rank(), found.local_rank(), found.node_rank()) == (2, 1, 0, 1)
    assert not found.auto_requeue
    check_started(nodes=2, devices=1)


def test_another_number_of_processes_than_asked_for_is_one_sentence(environment):
    check_started(nodes=4, devices=8)  # no launcher: Lightning starts the ranks of each node
    environment(TORCHELASTIC_RUN_ID="none", WORLD_SIZE="2", RANK="0", LOCAL_RANK="0")
    check_started(nodes=2, devices=1)
    with pytest.raises(ConfigError, match=r"torchrun started 2 process\(es\), but .*num_nodes = 1 .*devices = 1"):
        check_started(nodes=1, devices=1)


def test_slurm_variables_that_do_not_fit_together_are_one_sentence(environment):
    environment(SLURM_NTASKS="2", SLURM_JOB_NAME="train")
    with pytest.raises(ConfigError, match="--ntasks-per-node=2"):
        launcher()


def words(photo_folder, folder, steps):
    return [
        *("in_batch", *SMALL, "network.norm=instance", "optimizer.learning_rate=1e-4"),
        *(f"data.root={photo_folder}", f"data.cache_dir={folder}/cache"),
        *("trainer.accelerator=cpu", "trainer.devices=1", f"trainer.max_steps={steps}"),
    ]


def one_rank(photo_folder, folder, *more, steps=STEPS):
    """Trains with the whole batch of 4 in `folder`/whole."""
    command = [sys.executable, "-m", "descriptors", "train", *words(photo_folder, folder, steps)]
    run(folder, [([*command, "data.batch_size=4", f"output_dir={folder / 'whole'}", *more], {}, ".")])


def torchrun(node, port):
    """How one of two nodes is started by hand."""
    nodes = ["--nnodes=2", f"--node_rank={node}", "--nproc_per_node=1"]
    master = ["--master_addr=127.0.0.1", f"--master_port={port}"]
    return [sys.executable, "-m", "torch.distributed.run", *nodes, *master, "-m", "descriptors", "train"], {}


def srun(node, port):
    """What srun leaves to each of its two tasks: the bare command and variables."""
    task = {"SLURM_PROCID": str(node), "SLURM_NODEID": str(node), "MASTER_PORT": str(port)}
    return [sys.executable, "-m", "descriptors", "train"], SLURM | task


def two_nodes(start, photo_folder, folder, *more, steps=STEPS):
    """Trains with 2 photos on each of two nodes, whose working directories are `folder`/node0 and `folder`/node1."""
    port, commands = free_port(), []
    for node in range(2):
        (folder / f"node{node}").mkdir(exist_ok=True)
        command, variables = start(node, port)
        command += [*words(photo_folder, folder, steps), "data.batch_size=2", "trainer.num_nodes=2", *more]
        commands.append((command, variables, f"node{node}"))
    return run(folder, commands)


def run(folder, commands):
    """Runs commands side by side, each with its variables and working directory; the first one's output."""
    inherited = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
    inherited |= {"PYTHONPATH": str(config.REPOSITORY), "OMP_NUM_THREADS": "1"} | SHOWS_STACKS
    processes, logs = [], [folder / f"output{number}" for number in range(len(commands))]
    for log, (command, variables, where) in zip(logs, commands, strict=True):
        with log.open("w") as output:
            given = {"env": inherited | variables, "cwd": folder / where, "stdout": output, "stderr": output}
            processes.append(subprocess.Popen(command, **given))
    try:
        check_all_end(processes, logs, seconds=300)
    finally:
        for process in processes:
            process.terminate()  # torchrun then ends its workers
    return logs[0].read_text()


def losses(run_folder):
    return torch.tensor(read_history(run_folder / "metrics.csv").series("train/loss"))


@pytest.mark.slow
@pytest.mark.parametrize("start", [torchrun, srun])
def test_two_nodes_train_like_one_rank_with_twice_the_batch_in_the_folder_of_the_first(start, tmp_path, photo_folder):
    one_rank(photo_folder, tmp_path)
    said = two_nodes(start, photo_folder, tmp_path)
    (found,) = (tmp_path / "node0" / "runs" / "in_batch").iterdir()
    assert list((tmp_path / "node1").iterdir()) == []
    assert json.loads((found / "summary.json").read_text())["ranks"] == 2
    assert "2 ranks: each receives" in said
    torch.testing.assert_close(losses(found), losses(tmp_path / "whole"), atol=1e-4, rtol=0)
    whole, shared = (weights(folder) for folder in (tmp_path / "whole", found))
    for name, value in whole.items():
        torch.testing.assert_close(shared[name], value, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_two_nodes_agree_on_a_resumed_runs_folder_and_on_the_best_checkpoint_in_it(tmp_path, photo_folder):
    still = "optimizer.learning_rate=0"  # no validation is better than the first
    one_rank(photo_folder, tmp_path, still, "checkpoint.every_steps=1", "validation.every_steps=1", steps=2)
    elsewhere = tmp_path / "elsewhere"  # no run folder: the first rank names a new one
    shutil.copytree(tmp_path / "whole" / "checkpoints", elsewhere)
    resume = [still, f"resume={elsewhere / 'step=00000002.ckpt'}"]
    two_nodes(torchrun, photo_folder, tmp_path, *resume, steps=4)
    (found,) = (tmp_path / "node0" / "runs" / "in_batch").iterdir()
    assert list((tmp_path / "node1").iterdir()) == []
    assert json.loads((found / "summary.json").read_text())["steps"] == 4
    assert {path.name for path in (found / "checkpoints").iterdir()} >= {"best.ckpt", "step=00000004.ckpt"}
