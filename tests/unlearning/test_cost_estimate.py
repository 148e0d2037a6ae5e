"""Cost estimates of a dry run, and an early accurate remaining time."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from falw_cli.cli import console
from falw_cli.cli.console import Console
from tests.conftest import falw

ASKED = ("unlearn", "model.safetensors", "--forget", "ids.txt")


def test_a_dry_run_shows_the_tail_the_time_and_the_memory(project: Path) -> None:
    before = sorted(project.iterdir())
    shown = falw(*ASKED, "--dry-run", cwd=project)
    assert shown.returncode == 0, shown.stderr
    for word in ("time of the steps", "memory", "GiB", "█"):
        assert word in shown.stdout
    planned = json.loads(falw(*ASKED, "--dry-run", "--json", cwd=project).stdout)["run"]
    assert sorted(project.iterdir()) == before
    done = json.loads(falw(*ASKED, "--json", cwd=project).stdout)["run"]
    assert planned["steps"] == done["curve"][-1]["step"] or planned["steps"] >= done["steps"]
    assert planned["epochs"] >= done["epochs"]
    assert planned["peak_memory_bytes"] == pytest.approx(done["peak_memory_bytes"], rel=0.3)
    assert falw(*ASKED, "--dry-run", cwd=project).returncode == 2  # the outputs exist now
    assert planned["seconds"] > 0  # docs/foresight.md compares it with the time that runs take


def test_a_method_of_one_step_is_not_tried(project: Path) -> None:
    shown = falw(*ASKED, "--method", "influence", "--dry-run", "--json", cwd=project)
    assert json.loads(shown.stdout)["run"] | {"peak_memory_bytes": 0} == {
        **json.loads(shown.stdout)["run"], "peak_memory_bytes": 0, "steps": 1, "seconds": 0.0
    }  # fmt: skip


def test_the_remaining_time_counts_the_whole_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation every 25 steps takes as long as 10 steps; the mean over all steps covers it."""
    now = [0.0]
    shown = Console()
    shown.err = console.Rich(file=io.StringIO(), force_terminal=True)
    shown.start("steps", 400)
    assert shown._bar is not None
    monkeypatch.setattr(shown._bar, "get_time", lambda: now[0])
    for task in shown._bar.tasks:
        task._get_time = lambda: now[0]
        task.start_time = 0.0
    left = {}
    for step in range(1, 401):
        now[0] += 1.0 + (10.0 if step % 25 == 0 else 0.0)
        shown.advance()
        if step in (40, 100, 200) and shown._bar is not None:
            left[step] = now[0], shown._bar.tasks[0].time_remaining
    for at, foreseen in left.values():
        assert foreseen is not None
        assert foreseen == pytest.approx(now[0] - at, rel=0.2)
