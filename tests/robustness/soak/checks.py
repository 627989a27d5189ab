"""What must be true after a kill and at the end of a round; each is an assertion with what was found."""

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import torch

from descriptors.checkpoints import newest_checkpoint
from descriptors.weights import read_weights
from tests.robustness.soak.plan import Plan

REPORT_BYTES = 50_000  # the smallest with its pictures has more
INTERRUPTED = "it was interrupted"
LEAST_ROWS = 3  # sets of the bundled protocol


def reached_in(run: Path) -> int:
    """The step that resume=auto would go on from."""
    found = newest_checkpoint(run)
    return int(found[1]["global_step"]) if found else 0


def check_whole(run: Path) -> None:
    """Every checkpoint that has its name can be read."""
    for path in run.glob("checkpoints/*.ckpt"):
        torch.load(path, map_location="cpu", weights_only=True)


def logged(run: Path) -> list[dict[str, str]]:
    """The lines of metrics.csv of training steps, a cut last one left out."""
    path = run / "metrics.csv"
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0].decode()
    return [row for row in csv.DictReader(whole.splitlines()) if row.get("train/loss")]


def lost_steps(run: Path, plan: Plan) -> int:
    """Logged steps behind the newest checkpoint, at most an interval of them."""
    trained = max((int(row["step"]) + 1 for row in logged(run)), default=0)
    lost = max(0, trained - reached_in(run))
    assert lost <= plan.saved_every, f"{lost} steps are lost, but a checkpoint is written every {plan.saved_every}"
    return lost


def check_went_on(said: str, reached: int, must_say: bool) -> None:
    """A part said that it went on from the newest whole checkpoint, if only to write the result, or had none."""
    found = re.search(r"going on at step (\d+) of|step=(\d+)\.ckpt is at the last step already", said)
    step = found and int(found[1] or found[2])
    assert found is None or step == reached, f"went on at step {step}, {reached} was reached"
    fresh = "a fresh run starts" in said
    assert not (fresh and reached), f"a fresh run started although step {reached} was reached"
    assert found or fresh or not must_say, "neither went on nor started"


def check_finished(plan: Plan, run: Path, bad: set[str], was_asked: bool) -> dict[str, Any]:
    """The run folder is whole; the summary in it. Who was asked to stop may have left the evaluation out."""
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert (summary["steps"], reached_in(run)) == (plan.steps, plan.steps)
    check_whole(run)
    steps = [int(row["step"]) for row in logged(run)]
    assert steps == list(range(plan.steps)), f"metrics.csv has the steps {steps}"
    assert all(math.isfinite(float(row["train/loss"])) for row in logged(run)), "a loss is not finite"
    tensors, _ = read_weights(run / "weights.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values()), "a weight is not finite"
    missed = bad - summary["dataset"]["skipped"].keys()
    assert not missed, f"bad files were not left out: {sorted(missed)}"
    check_report(run, summary, was_asked)
    partial = sorted(str(path.relative_to(run)) for path in run.rglob("*.partial"))
    assert not partial, f"left half-written: {partial}"
    return summary


def check_report(run: Path, summary: dict[str, Any], was_asked: bool) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    assert len(page) > REPORT_BYTES, f"report.html has {len(page)} characters"
    said = f"{len(summary['dataset']['skipped'])} file(s) were left out"
    assert said in page, f"report.html does not say '{said}'"
    failed = summary.get("bundled_evaluation", {}).get("error")
    assert not failed or (was_asked and failed == INTERRUPTED), f"the evaluation at the end failed: {failed}"


def check_evaluated(table: Path) -> float:
    """`evaluate` measured all it was asked for; the mean MMA@3 over its sets."""
    found = json.loads(table.read_text(encoding="utf-8"))
    assert found["failures"] == [], found["failures"]
    shares = [row["mma"]["3"] for row in found["rows"]]
    assert len(shares) >= LEAST_ROWS, f"{len(shares)} rows were measured"
    assert all(0 <= share <= 1 for share in shares), shares
    return sum(shares) / len(shares)
