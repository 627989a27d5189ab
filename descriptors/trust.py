"""Code that a file from elsewhere names is imported only where the user has said its name, or allowed it."""

from pathlib import Path

from descriptors.checks import ConfigError, schema_fields
from descriptors.config import flat, to_plain
from descriptors.schema import Experiment

IMPORTABLE = tuple(key for key, field in schema_fields().items() if field.metadata.get("importable"))


def check_said_anew(said: Experiment, resumed: Experiment, path: Path) -> None:
    """Refuses code that only the checkpoint names: importing it would run it.

    Args:
        said: the experiment as its file and the command's words have it.
        resumed: as it goes on from the checkpoint.
        path: of the checkpoint.

    Raises:
        ConfigError: `resumed` takes a `package.module:Class` that `said` does not.
    """
    wanted, known = flat(to_plain(resumed)), flat(to_plain(said))
    for key in IMPORTABLE:
        if ":" in wanted[key] and wanted[key] != known[key]:
            raise ConfigError(
                f"{path}: was made with {key} = '{wanted[key]}', code that would be imported and run; if you trust it, "
                f"say it anew: {key}={wanted[key]}."
            )
