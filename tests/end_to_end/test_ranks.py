"""The command in several processes: the same result, messages only once, no process left over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import at_once
from tests.conftest import COMMAND, clean_environment, falw, quick_environment

pytestmark = pytest.mark.slow
RUN = ("unlearn", "model.safetensors", "--forget", "ids.txt", "--device", "cpu")
STATE = "model.unlearned.safetensors.state"


def report(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.audit.json").read_text())
    return found


def in_forks(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command and its ranks without the import time."""
    return falw(*arguments, cwd=cwd, **quick_environment())


def test_three_ranks_give_the_result_of_one(project: Path) -> None:
    """Compare the gap and the target estimates, with the paper's exact target and few steps."""
    asked = (*RUN, "--target", "exact", "--stop", "epochs", "--epochs", "3")
    asked += ("--reference", "retrain.safetensors", "--method", "random-label")
    asked += ("--no-forgotten-gate",)
    for count in (1, 3):
        done = in_forks(
            *asked, "--out", f"{count}.safetensors", "--devices", str(count), cwd=project
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{count}.safetensors\n"
        assert done.stderr.count("\n forget accuracy") == 1
    alone, together = report(project, "1"), report(project, "3")
    assert together["environment"]["ranks"] == 3
    assert together["run"]["steps"] == alone["run"]["steps"]
    gap = alone["metrics"]["after"]["avg_gap"]
    assert together["metrics"]["after"]["avg_gap"] == pytest.approx(gap, abs=0.3)
    for name, target in alone["target"].items():
        for figure in ("mu", "sigma", "rests_on"):
            found = together["target"][name][figure]
            assert found == pytest.approx(target[figure], rel=1e-2, abs=2e-3), (name, figure)
    for mine, theirs in zip(together["weights"], alone["weights"], strict=True):
        assert mine["mean"] == pytest.approx(theirs["mean"], rel=1e-2)


def test_it_finds_the_ranks_that_torchrun_started(project: Path) -> None:
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    done = subprocess.run(
        [torchrun, "--nproc-per-node", "2", "-m", "falw_cli", "evaluate", "model.safetensors",
         "--forget", "ids.txt", "--device", "cpu", "--json"],
        cwd=project, capture_output=True, text=True, timeout=1200, check=False,
        env=quick_environment() | {"PYTHON_EXEC": quick_environment()["TESTS_PYTHON"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone = falw("evaluate", *RUN[1:], "--json", cwd=project)
    for name, value in json.loads(alone.stdout)["metrics"]["after"].items():
        found = json.loads(done.stdout)["metrics"]["after"][name]
        if isinstance(value, float):
            assert found == pytest.approx(value, abs=0.01), name


def test_an_error_is_reported_once(project: Path) -> None:
    (project / "bad.txt").write_text("no such sample\n")
    before = set(project.iterdir())
    done = in_forks(*RUN[:2], "--forget", "bad.txt", "--devices", "2", cwd=project)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "'no such sample'" in done.stderr
    assert set(project.iterdir()) == before
    gate = ("--gate", "forget_accuracy<=0", "--epochs", "1", "--stop", "epochs")
    assert in_forks(*RUN, "--devices", "2", *gate, cwd=project).returncode == 1


def start(project: Path, *more: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a long run of two ranks, and return when it has saved a state, so its steps run.

    The ranks are real processes: they end when the process that started them is killed.
    """
    state = project / STATE
    before = state.stat().st_mtime_ns if state.exists() else None
    running = subprocess.Popen(
        [str(COMMAND), *RUN, "--devices", "2", "--stop", "epochs", "--epochs", "500",
         "--method", "random-label", "--weighting", "none", "--lr", "0.001", *more],
        cwd=project, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not state.exists() or state.stat().st_mtime_ns == before:
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline, "no state was saved"
        time.sleep(0.1)
    ranks = psutil.Process(running.pid).children()
    assert len(ranks) == 2
    return running, sorted(ranks, key=lambda child: child.environ()["RANK"])


def test_ranks_that_are_killed_or_interrupted_end_together(project: Path) -> None:
    """Each run continues the previous one, which ended in another way."""
    with (project / "falw.yaml").open("a") as config:
        config.write("save_every: 0.5\n")
    before = set(project.iterdir())
    running, found = start(project)
    os.kill(found[0].pid, signal.SIGKILL)
    _, errors = running.communicate(timeout=1200)
    assert running.returncode == 3, errors
    assert "rank 0 was ended by SIGKILL" in errors
    assert errors.count("error:") == 1
    # A killed rank leaves its saved state, and its lock file, which does not block later runs.
    left = {project / STATE, project / ".model.unlearned.safetensors.lock"}
    assert set(project.iterdir()) - left == before
    psutil.wait_procs(found, timeout=30)
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in found)
    running, _ = start(project, "--resume")
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=1200)
    assert running.returncode == 143, errors
    assert "with --resume to continue from" in errors
    assert (project / STATE).is_file()
    running, _ = start(project, "--resume")
    running.kill()
    running.communicate(timeout=1200)  # returns only if its ranks ended too: they share its stderr


def test_two_machines_meet_at_the_given_address(project: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    there = quick_environment() | {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    command = [str(at_once.command()), *RUN, "--nodes", "2", "--epochs", "2", "-q"]
    both = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True, env=there)
        for _ in range(2)
    ]
    said = [one.communicate(timeout=1200)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(said) == ["", "model.unlearned.safetensors\n"]
    assert report(project, "model.unlearned")["environment"]["ranks"] == 2


def test_it_finds_the_ranks_that_slurm_started(project: Path) -> None:
    job = {
        "SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "night", "SLURM_NODELIST": "localhost",
        "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0",
    }  # fmt: skip
    command = [str(at_once.command()), "evaluate", *RUN[1:], "--json"]
    both = [
        subprocess.Popen(
            command, cwd=project, stdout=subprocess.PIPE, text=True,
            env=clean_environment() | job | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    said = [one.communicate(timeout=1200)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert json.loads(said[0])["environment"]["ranks"] == 2
    assert said[1] == ""
