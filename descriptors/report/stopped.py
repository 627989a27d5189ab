"""What the page of a run says that was stopped before its last step."""

from pathlib import Path

from descriptors.config import experiment_names
from descriptors.going_on import command
from descriptors.report.record import Record
from descriptors.run_folder import CHECKPOINTS, checkpoint_name


def stopped_note(record: Record, run_dir: Path) -> list[str]:
    """One sentence on where the run was stopped and how it goes on; none of a run that reached its end."""
    settings = record.settings
    steps, wanted = record.summary.get("steps"), settings.get("trainer.max_steps")
    if not isinstance(steps, int) or not isinstance(wanted, int) or steps >= wanted:
        return []
    checkpoint = run_dir / CHECKPOINTS / checkpoint_name(steps)
    said = f"The run was stopped at step {steps} of {wanted}."
    name = str(settings.get("name"))
    if name not in experiment_names():
        return [f"{said} It goes on by the command that started it with resume={checkpoint} added."]
    return [
        f"{said} It goes on by: {command(name, settings, run_dir)} (or, after later runs, with resume={checkpoint})"
    ]
