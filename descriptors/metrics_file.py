"""`metrics.csv`: a run's numbers, one line whenever some are logged, never behind the checkpoints beside it."""

import csv
import io
import logging
import os
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger

from descriptors.checkpoints import reason, replaced
from descriptors.distributed import is_main
from descriptors.run_folder import METRICS

log = logging.getLogger(__name__)

Row = dict[str, str]  # column -> what its cell says; blank cells are left out


class MetricsFile(Logger):
    """Lightning's logger of a run folder; the columns are sorted, and grow with what is logged.

    A line is appended in one write. Where a new column needs another header, the file is written aside and renamed, so
    that at any moment it holds all that was logged.

    Args:
        folder: the run folder.
        reached: the step that a resumed run goes on from: lines of later steps are removed, since they come again.

    Raises:
        ValueError: the file can't be written; from every call.
    """

    def __init__(self, folder: Path, reached: int) -> None:
        super().__init__()
        self.path = folder / METRICS
        self._columns: list[str] = []
        self._last: Row = {}
        self.is_closed = False  # what is logged then is not written
        if is_main() and self.path.is_file():
            self._columns, rows = _read(self.path)
            self._write(row for row in rows if int(row["step"]) < reached)

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """They are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends a line; nothing where it is the last one already, written ahead of a checkpoint."""
        row = {key: str(value) for key, value in metrics.items()} | {"step": str(step)}
        if row == self._last or self.is_closed:
            return
        self._last = row
        if row.keys() <= set(self._columns):
            self._append(row)
        else:
            rows = _read(self.path)[1] if self.path.is_file() else []
            self._columns = sorted({*self._columns, *row})
            self._write([*rows, row])

    @rank_zero_only
    def sync(self) -> None:
        """Everything logged so far is on the disk when this returns."""
        if not self.path.is_file():
            return
        try:
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def _append(self, row: Row) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(_lines([row], self._columns))
        except OSError as error:
            raise self._failure(error) from error

    def _write(self, rows: Iterable[Row]) -> None:
        content = _lines([dict(zip(self._columns, self._columns, strict=True))], self._columns)
        content += _lines(rows, self._columns)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(self.path) as file:
                file.write(content)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> ValueError:
        return ValueError(
            f"{self.path} could not be written ({reason(error)}); the checkpoints beside it are whole: put that right "
            "and go on with resume=auto."
        )


def _lines(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns).writerows(rows)
    return text.getvalue().encode()


def _read(path: Path) -> tuple[list[str], list[Row]]:
    """The columns and the whole lines; the last one may have been cut when the run was killed, and is left out."""
    complete, _, cut = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    lines = csv.reader(io.StringIO(complete, newline=""))
    columns = next(lines, [])
    whole = [dict(zip(columns, cells, strict=True)) for cells in lines if len(cells) == len(columns)]
    rows = [{key: cell for key, cell in row.items() if cell} for row in whole if row.get("step", "").isdigit()]
    if cut:
        log.warning("%s: the last line was cut, and is left out", path)
    return columns, rows
