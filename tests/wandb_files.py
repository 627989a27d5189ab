"""What an offline run of Weights & Biases holds, as a server would be told it."""

import json
from dataclasses import dataclass, field

import wandb

from descriptors.loggers.wandb_files import records


@dataclass
class Logged:
    """One part of a run, which is one process's; its records by kind."""

    run: object = None
    config: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)  # name or glob -> its definition
    rows: list = field(default_factory=list)  # of the history, each {name: value}
    summary: dict = field(default_factory=dict)
    made: dict = field(default_factory=dict)  # name -> artifact that the run logged
    used: dict = field(default_factory=dict)  # name -> artifact that it declared as an input
    exit_code: int | None = None

    def column(self, name):
        """{training step: value}, of the rows that have it."""
        return {row["trainer/global_step"]: row[name] for row in self.rows if name in row}


def logged(path):
    """What stands in a .wandb file."""
    found = Logged()
    for record in records(path):
        kind = record.WhichOneof("record_type")
        content = getattr(record, kind)
        if kind == "run":
            found.run = content
            found.config |= _items(content.config.update)
        elif kind == "config":
            found.config |= _items(content.update)
        elif kind == "metric":
            found.metrics[content.name or content.glob_name] = content
        elif kind == "history":
            found.rows.append(_items(content.item))
        elif kind == "summary":
            found.summary |= _items(content.update)
        elif kind == "artifact":
            (found.used if content.use_after_commit else found.made)[content.name] = content
        elif kind == "exit":
            found.exit_code = content.exit_code
    return found


def parts(run_folder):
    """What stands in all parts of the run in a run folder, the oldest first; of this process's runs none goes on."""
    wandb.teardown()  # its service writes the files to the end, as it does when the command ends
    return [logged(path) for path in sorted(run_folder.glob("wandb/offline-run-*/*.wandb"))]


def _items(items):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
