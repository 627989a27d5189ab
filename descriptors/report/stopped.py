"""What the page of a run says that was stopped before its last step."""

from pathlib import Path

from descriptors.config import experiment_names
from descriptors.going_on import command
from descriptors.report.record import Record


def stopped_note(record: Record, run_dir: Path) -> list[str]:
    """One sentence on where the run was stopped and how it goes on; none of a run that reached its end."""
    settings = record.settings
    steps, wanted = record.summary.get("steps"), settings.get("trainer.max_steps")
    if not isinstance(steps, int) or not isinstance(wanted, int) or steps >= wanted:
        return []
    said = f"The run was stopped at step {steps} of {wanted}."
    name = str(settings.get("name"))
    if name not in experiment_names():
        return [f"{said} It goes on by the command that started it with resume={run_dir} added."]
    return [f"{said} It goes on by: {command(name, settings, run_dir)}"]
