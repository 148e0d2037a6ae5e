"""Unlearning with the forget samples and held-out data alone, by the installed command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from falw_cli.audit.report import Report
from falw_cli.data.opening import open_listing
from tests.conftest import falw

ALONE = ("--data", "npz:mine.npz", "--no-retain", "--ledger", "ledger.jsonl", "--forget")


@pytest.fixture
def mine(project: Path) -> Path:
    """A project with a source of 60 training samples alone, and two lists of them."""
    digits = open_listing("digits", "train")
    rows = np.arange(60)
    assert digits.array is not None
    ids = np.array(digits.ids)[rows]
    np.savez(project / "mine.npz", images=digits.array[rows], labels=digits.labels[rows], ids=ids)
    (project / "mine.txt").write_text("\n".join(ids[:40]))
    (project / "later.txt").write_text("\n".join(ids[40:]))
    return project


def test_only_the_list_and_held_out_data_are_needed(mine: Path) -> None:
    done = falw("unlearn", "model.safetensors", *ALONE, "mine.txt", "--html", "--relearn", cwd=mine)
    assert done.returncode == 0, done.stderr
    report = Report.model_validate_json((mine / "model.unlearned.audit.json").read_text())
    assert any("take their place in the steps" in one for one in report.warnings)
    assert report.forget.count == report.inputs.data.used == 40
    before, after = report.metrics.before, report.metrics.after
    assert before is not None
    assert after is not None
    assert (after.retain_accuracy, after.mia_efficacy) == (None, None)
    assert all(one.retain_count is None for one in after.per_class.values())
    assert report.pairs is not None  # each sample has an expectation
    assert after.test_accuracy is not None
    assert before.test_accuracy is not None
    assert after.test_accuracy > before.test_accuracy - 3
    shown = falw("report", "model.unlearned.audit.json", "--format", "md", cwd=mine)
    assert shown.returncode == 0, shown.stderr
    record = (mine / "model.unlearned.audit.md").read_text()
    assert "none were at hand" in record
    assert "- 40 samples were unlearned" in record
    again = falw("verify", "model.unlearned.audit.json", "--rerun", cwd=mine)
    assert again.returncode == 0, again.stdout
    measured = falw(
        "evaluate", "model.unlearned.safetensors", *ALONE, "mine.txt", "--json", "-q",
        "--original", "model.safetensors", "--reference", "retrain.safetensors", cwd=mine,
    )  # fmt: skip
    found = json.loads(measured.stdout)["metrics"]["after"]
    assert found["forget_accuracy"] == after.forget_accuracy
    assert found["avg_gap"] is not None
    later = ("unlearn", "model.unlearned.safetensors", *ALONE, "later.txt", "--epochs", "1",
             "--no-forgotten-gate")  # fmt: skip
    second = falw(*later, "--out", "2.safetensors", cwd=mine)
    assert second.returncode == 0, second.stderr
    made = Report.model_validate_json((mine / "2.audit.json").read_text())
    assert made.earlier is not None
    assert made.earlier.requests[0].remeasured is not None
    # No step uses an earlier sample, so that none needs to be named.
    (mine / "ledger.jsonl").unlink()
    planned = falw(*later, "--dry-run", cwd=mine)
    assert planned.returncode == 0, planned.stderr
    assert "count as retain samples" not in planned.stderr


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--method", "salun"), "method salun needs retain samples"),
        (("--metrics", "FA,RA"), "--metrics retain_accuracy needs retain samples"),
    ],
)
def test_what_needs_retain_samples_is_refused(mine: Path, more: tuple[str, ...], says: str) -> None:
    done = falw("unlearn", "model.safetensors", *ALONE, "mine.txt", *more, cwd=mine)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2
    assert not (mine / "model.unlearned.safetensors").exists()
