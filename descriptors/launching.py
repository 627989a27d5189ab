"""Who started this process beside others (torchrun, srun), and whether as many were started as are asked for."""

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from descriptors.checks import ConfigError


def launcher() -> ClusterEnvironment | None:
    """The launcher that started this process beside others; None where Lightning starts the ranks itself.

    SLURM's own requeueing is left out: it would save in the middle of a step. A run that SLURM stops by SIGTERM ends
    after its step, and goes on with resume=auto.

    Raises:
        ConfigError: what is wrong with SLURM's variables.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if not SLURMEnvironment.detect():
        return None
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise ConfigError(str(error)) from error


def check_started(nodes: int, devices: int) -> None:
    """Raises ConfigError unless the launcher, if there is one, started `nodes` x `devices` processes.

    Fewer would wait for ranks that never come; with more, each would train by itself.
    """
    found = launcher()
    if found is not None and found.world_size() != nodes * devices:
        name = "torchrun" if isinstance(found, TorchElasticEnvironment) else "SLURM"
        raise ConfigError(
            f"{name} started {found.world_size()} process(es), but trainer.num_nodes = {nodes} and trainer.devices = "
            f"{devices} ask for {nodes * devices}; set both to what was started."
        )
