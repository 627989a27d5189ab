"""Where a run's numbers, pictures and results go beside its folder: Weights & Biases, TensorBoard, or neither."""

from descriptors.loggers.choice import check_loggers, loggers_of
from descriptors.loggers.dashboard import concluded, dashboards, ended
from descriptors.loggers.start import ShowStart

__all__ = ["ShowStart", "check_loggers", "concluded", "dashboards", "ended", "loggers_of"]
