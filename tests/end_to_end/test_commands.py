"""The other commands: help, completion, lists, inspect, train, demo, and the Python functions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import falw_cli
from falw_cli.audit.report import Report
from falw_cli.errors import RequestError
from tests import at_once
from tests.conftest import clean_environment, falw, run_falw

COMMANDS = (
    "unlearn", "evaluate", "audit", "train", "forget-list", "inspect", "bench", "verify", "report",
    "schema", "demo", "convert", "init", "doctor",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_common_flags(tmp_path: Path, command: str) -> None:
    run = run_falw if command == "unlearn" else falw  # one with the startup
    done = run(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"Example: falw {command}" in done.stdout
    for flag in ("--config", "--json", "--quiet", "--verbose"):
        assert flag in done.stdout


def test_help_loads_no_unnecessary_library(tmp_path: Path) -> None:
    code = (
        "import sys; from falw_cli.cli.app import run; run(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pydantic', 'yaml')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_mistyped_flag_is_reported_without_importing_torch(project: Path) -> None:
    code = (
        "import sys; from falw_cli.__main__ import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "unlearn", "model.safetensors", "--stop", "never"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("falw unlearn --method ra", "random-label"),
        ("falw unlearn --weighting f", "falw"),
        ("falw train --arch resnet18", "resnet18-cifar"),
        ("falw in", "inspect"),
        ("falw unlearn --data webd", "webdataset:"),
        ("falw unlearn --track t", "tensorboard"),
        ("falw forget-list --data digits --id 11", "110"),
        ("falw forget-list --data digits --class 7", "7"),
    ],
)
def test_shell_completion(tmp_path: Path, words: str, offered: str) -> None:
    environment = {
        "_FALW_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    run = run_falw if words == "falw in" else falw  # one with the startup
    assert offered in run(cwd=tmp_path, **environment).stdout.split()


def test_a_forget_list_has_the_requested_tail(project: Path) -> None:
    ask = ("forget-list", "--count", "100", "--gamma", "1", "--seed", "7", "--json")
    drawn = json.loads(falw(*ask, cwd=project).stdout)
    assert len(drawn["ids"]) == len(set(drawn["ids"])) == sum(drawn["per_class"].values()) == 100
    assert max(drawn["per_class"].values()) >= 9 * min(drawn["per_class"].values())
    again = json.loads(falw(*ask, cwd=project).stdout)
    assert again == drawn
    one = falw("forget-list", "--count", "9", "--class", "3", "--json", cwd=project)
    assert json.loads(one.stdout)["per_class"] == {"3": 9}


def test_where_selects_by_a_column(tmp_path: Path) -> None:
    images = np.zeros((8, 8, 8, 1), dtype=np.uint8)
    people, labels = np.array([1, 1, 2, 2, 2, 2, 3, 3]), np.array([0, 1] * 4)
    np.savez(tmp_path / "d.npz", images=images, labels=labels, person=people)
    ask = ("forget-list", "--data", "npz:d.npz", "--where", "person=2")
    assert falw(*ask, cwd=tmp_path).stdout.split() == ["2", "3", "4", "5"]
    both = falw(*ask, "--where", "person=3", "--where", "labels=1", cwd=tmp_path)
    assert both.stdout.split() == ["3", "5", "7"]
    drawn = falw(*ask, "--count", "3", "--seed", "1", cwd=tmp_path).stdout.split()
    assert len(drawn) == 3
    assert set(drawn) < {"2", "3", "4", "5"}
    for wrong in ("person=4", "persn=2", "person"):
        assert falw(*ask[:-1], wrong, cwd=tmp_path).returncode == 2
    facts = json.loads(falw("inspect", "npz:d.npz", "--json", cwd=tmp_path).stdout)
    assert facts["columns"] == {"labels": "2 values", "person": "3 values"}
    for words, offered in (("pe", "person="), ("person=", "person=3")):
        environment = {
            "_FALW_COMPLETE": "complete_bash", "COMP_CWORD": "5",
            "COMP_WORDS": f"falw forget-list --data npz:d.npz --where {words}",
        }  # fmt: skip
        assert offered in falw(cwd=tmp_path, **environment).stdout.split()


def test_given_ids_are_checked(project: Path) -> None:
    assert falw("forget-list", "--id", "11", "--id", "7", cwd=project).stdout.split() == ["7", "11"]
    wrong = falw("forget-list", "--id", "1x", cwd=project)
    assert wrong.returncode == 2
    assert "'1x'" in wrong.stderr
    both = falw("forget-list", "--id", "1", "--ratio", "0.1", cwd=project)
    assert both.returncode == 2


def test_inspect_describes_each_kind_of_file(unlearned: Path) -> None:
    project = unlearned
    (project / "ids.csv").write_text("3\n7\n11\n")
    (project / "ids.json").write_text("[3, 7, 11]")
    np.save(project / "ids.npy", [3, 7, 11])
    (project / "wrong.txt").write_text("digits/11\n")
    before = sorted(project.iterdir())
    words = {
        **dict.fromkeys(("ids.csv", "ids.json", "ids.npy"), ("forget list", "count", "3")),
        "model.safetensors": ("tiny-cnn", "399534"),
        "digits": ("1198", "█"),
        "ids.txt": ("240", "█"),
        "model.unlearned.audit.json": ("match x none", "forget accuracy"),
    }
    for path, expected in words.items():
        shown = falw("inspect", path, cwd=project)
        assert shown.returncode == 0, shown.stderr
        for word in expected:
            assert word in shown.stdout
    assert json.loads(falw("inspect", "ids.txt", "--json", cwd=project).stdout)
    wrong = json.loads(falw("inspect", "wrong.txt", "--json", cwd=project).stdout)
    assert wrong["unknown"] == 1
    assert "1 of 1 forget IDs are not in the training data: 'digits/11'" in wrong["note"]
    assert sorted(project.iterdir()) == before


def test_retrain_leaves_the_list_out(project: Path) -> None:
    ask = ("train", "--without", "ids.txt", "--epochs", "1", "--out", "new.safetensors", "--json")
    done = falw(*ask, cwd=project)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["samples"], told["left_out"]) == (1198 - 240, 240)
    assert (project / "new.safetensors").exists()


def test_no_color_is_honoured(project: Path) -> None:
    shown = falw("inspect", "digits", cwd=project, NO_COLOR="1", FORCE_COLOR="1")
    assert "\x1b[3" not in shown.stdout


def test_the_reader_of_stdout_may_close_it(project: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail; falw forget-list --ratio 0.5 -q | head -1"],
        cwd=project,
        env={**clean_environment(), "PATH": f"{at_once.command().parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert Counter(done.stdout)["\n"] == 1
    assert done.stderr == ""


@pytest.mark.slow
def test_the_demo_runs_and_its_commands_work(tmp_path: Path) -> None:
    done = falw("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("before", "match", "fine-tuning", "FaLW", "Retrain", "gap"):
        assert word in done.stdout
    assert "warning" not in done.stderr  # those of a baseline say what its user should do
    folder = tmp_path / "falw-demo"
    for name in ("table.svg", "forget.txt", "model.falw.safetensors", "model.match.audit.html"):
        assert (folder / name).exists()
    found = Report.model_validate_json((folder / "model.match.audit.json").read_text()).metrics
    assert found.before is not None
    assert found.after is not None
    assert found.before.retain_accuracy == 100
    assert 75 <= found.before.test_accuracy <= 85
    assert 3 * found.after.avg_gap <= found.before.avg_gap
    again = falw("demo", cwd=tmp_path)
    assert again.returncode == 2
    for command in [line.strip() for line in done.stderr.splitlines() if "  falw " in line]:
        tried = subprocess.run(
            ["bash", "-c", f"{at_once.command().parent}/{command}"],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert tried.returncode == 0, (command, tried.stderr)


def test_the_python_functions_do_what_the_commands_do(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    report = falw_cli.unlearn(
        "model.safetensors", forget="ids.txt", gate=["test_accuracy>=1"], epochs=1, stop="epochs",
        forgotten_gate=False,
    )  # fmt: skip
    assert report.passed
    assert report.output is not None
    judged = falw_cli.evaluate(Path(report.output.path), forget=Path("ids.txt"))
    assert judged.metrics.after is not None
    assert report.metrics.after is not None
    assert judged.metrics.after.forget_accuracy == report.metrics.after.forget_accuracy
    with pytest.raises(RequestError, match="unknown method"):
        falw_cli.unlearn("model.safetensors", forget="ids.txt", method="magic", force=True)
