"""Requests in sequence, by the installed command: earlier lists are not taught again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from falw_cli.audit.report import Report
from falw_cli.data import ledger
from falw_cli.data.opening import open_listing
from falw_cli.models import checkpoint_files
from tests.conftest import falw

QUICK = ("--epochs", "1", "--stop", "epochs", "--no-forgotten-gate", "-q")
IDS = open_listing("digits", "train").ids
FIRST, SECOND = list(IDS[:30]), list(IDS[30:60])


def unlearned(folder: Path, model: str, ids: str, out: str, *more: str) -> Report:
    done = falw(
        "unlearn", model, "--forget", ids, "--out", f"{out}.safetensors", *QUICK, *more, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return Report.model_validate_json((folder / f"{out}.audit.json").read_text())


def planned(folder: Path, forgotten: str) -> dict[str, Any]:
    """Return the report of a dry run of the second request."""
    done = falw(
        "unlearn", "u1.safetensors", "--forget", "b.txt", "--forgotten", forgotten, "--dry-run",
        "--json", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def two(project: Path) -> Path:
    """A project with two lists, and the model that the first request left behind."""
    (project / "a.txt").write_text("\n".join(FIRST))
    (project / "b.txt").write_text("\n".join(SECOND))
    unlearned(project, "model.safetensors", "a.txt", "u1", "--ledger", "ledger.jsonl")
    return project


def test_the_ledger_leaves_out_the_first_list(two: Path) -> None:
    refused = falw("unlearn", "u1.safetensors", "--forget", "b.txt", cwd=two)
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 2
    assert "was unlearned before" in refused.stderr
    made = unlearned(two, "u1.safetensors", "b.txt", "u2", "--ledger", "ledger.jsonl")
    assert made.earlier is not None
    assert made.earlier.left_out == 30
    (one,) = made.earlier.requests
    assert (one.source, one.count, one.in_data) == ("ledger", 30, 30)
    assert one.remeasured is not None
    assert one.remeasured.still_forgotten in ("yes", "cannot tell")
    assert made.inputs.data.used == made.inputs.data.count - 30
    text = (two / "ledger.jsonl").read_text()
    entries = ledger.read(two / "ledger.jsonl")
    assert [IDS[row] for row in entries[1].rows(IDS)] == SECOND
    assert not any(f'"{name}"' in text for name in IDS)
    verified = falw("verify", "--ledger", "ledger.jsonl", "--json", cwd=two)
    assert verified.returncode == 0
    assert [one["problem"] for one in json.loads(verified.stdout)] == [None, None]
    shown = falw("inspect", "ledger.jsonl", "--json", cwd=two)
    assert json.loads(shown.stdout)["kind"] == "ledger", shown.stderr
    assert json.loads(shown.stdout)["IDs"] == 60
    # The chain of parents: both are originals of the second model, and a copy keeps them.
    falw("convert", "u2.safetensors", "--out", "copy.safetensors", cwd=two)
    for model, original, back in (
        ("u2", "u1", 1), ("u2", "model", 2), ("copy", "model", 2), ("copy", "u2", 0),
    ):  # fmt: skip
        done = falw(
            "evaluate", f"{model}.safetensors", "--forget", "b.txt", "--ledger", "ledger.jsonl",
            "--original", f"{original}.safetensors", "--json", "-q", cwd=two,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["inputs"]["original"]["runs_back"] == back
        assert found["earlier"]["left_out"] == 30
    refused = falw("unlearn", "copy.safetensors", "--forget", "b.txt", cwd=two)
    assert "was unlearned before" in refused.stderr
    rerun = falw("verify", "u2.audit.json", "--rerun", cwd=two)
    assert rerun.returncode == 0, rerun.stdout


def test_an_earlier_list_may_be_partly_gone_and_overlap(two: Path) -> None:
    (two / "old.txt").write_text("\n".join([*FIRST, "gone-1", "gone-2", SECOND[0]]))
    found = planned(two, "old.txt")
    assert found["earlier"]["left_out"] == 30
    assert found["earlier"]["requests"][0]["count"] == 33
    assert found["earlier"]["requests"][0]["in_data"] == 31
    assert any("on an earlier list too: 1" in one for one in found["warnings"])
    assert "gone-1" not in json.dumps(found)


def test_none_says_that_the_samples_are_gone(two: Path) -> None:
    found = planned(two, "none")
    assert found["earlier"]["left_out"] == 0
    assert found["earlier"]["requests"][0]["source"] == "checkpoint"
    chain = checkpoint_files.read(two / "u1.safetensors").metadata
    assert chain is not None
    assert found["earlier"]["requests"][0]["sha256"] == chain.chain[0].forget_list


def test_bad_ledgers_are_refused_before_the_run(two: Path) -> None:
    whole = (two / "ledger.jsonl").read_text()
    for text, says in ((whole + "{", "line 2 is incomplete"), (whole + "{}\n", "line 2")):
        (two / "ledger.jsonl").write_text(text)
        done = falw(
            "unlearn", "u1.safetensors", "--forget", "b.txt", "--ledger", "ledger.jsonl", cwd=two
        )
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 2
    (two / "ledger.jsonl").write_text("")
    done = falw(
        "unlearn", "u1.safetensors", "--forget", "b.txt", "--ledger", "ledger.jsonl", cwd=two
    )
    assert done.returncode == 2
    assert "does not hold its run" in done.stderr
    for asked in (("--out", "ledger.jsonl"), ("--report", "ledger.jsonl")):
        done = falw(
            "unlearn", "model.safetensors", "--forget", "b.txt", "--ledger", "ledger.jsonl",
            *asked, "--force", cwd=two,
        )  # fmt: skip
        assert done.returncode == 2
        assert "is an input" in done.stderr
    done = falw("evaluate", "u1.safetensors", "--ledger", "absent.jsonl", cwd=two)
    assert (done.returncode, "no ledger" in done.stderr) == (2, True)


def test_evaluate_warns_of_lists_that_it_does_not_know(two: Path) -> None:
    alone = falw("evaluate", "u1.safetensors", "--json", "-q", cwd=two)
    assert any("earlier list of the model: not given" in one
               for one in json.loads(alone.stdout)["warnings"])  # fmt: skip
    listed = falw("evaluate", "u1.safetensors", "--forget", "a.txt", "--json", "-q", cwd=two)
    assert json.loads(listed.stdout)["earlier"] is None
