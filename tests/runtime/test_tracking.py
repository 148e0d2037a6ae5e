"""Live curves: their content and location, and that tracking does not change the run."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import pytest

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.runtime.tracking import TRACKERS, loggers
from tests.conftest import falw

ASKED = (
    "unlearn", "model.safetensors", "--forget", "ids.txt", "--seed", "4", "--weighting", "falw",
)  # fmt: skip


@pytest.mark.slow
def test_a_csv_of_the_run_and_the_same_checkpoint(project: Path) -> None:
    assert falw(*ASKED, "--out", "plain.safetensors", cwd=project).returncode == 0
    done = falw(*ASKED, "--track", "csv", cwd=project)
    assert done.returncode == 0, done.stderr
    plain, tracked = (project / f"{n}.safetensors" for n in ("plain", "model.unlearned"))
    assert plain.read_bytes() == tracked.read_bytes()
    with (project / "model.unlearned.track" / "version_0" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    steps = [row for row in rows if row["loss"]]
    looks = [row for row in rows if row["evaluation/distance"]]
    assert [int(row["step"]) for row in steps] == list(range(1, len(steps) + 1))
    assert all(0 <= float(row["weight/min"]) <= float(row["weight/max"]) <= 2 for row in steps)
    assert all(0 < float(row["target/mu"]) <= 1 for row in steps)
    assert 12 <= len(looks) <= 16  # evenly spaced, up to a maximum
    assert 0 < float(rows[-1]["after/forget_accuracy"]) <= 100
    text = (project / "model.unlearned.track" / "version_0" / "metrics.csv").read_text()
    assert "ids.txt" not in text


def test_training_has_curves_too(project: Path) -> None:
    done = falw("train", "--epochs", "1", "--out", "new.safetensors", "--track", "csv", cwd=project)
    assert done.returncode == 0, done.stderr
    rows = (project / "new.track" / "version_0" / "metrics.csv").read_text().splitlines()
    assert rows[0] == "loss,lr,step"
    assert len(rows) == 11  # 1,198 digits in batches of 128


def test_a_request_that_is_refused_leaves_no_curves(project: Path) -> None:
    done = falw(*ASKED, "--track", "csv", "--gate", "nothing>1", cwd=project)
    assert done.returncode == 2
    assert not list(project.glob("*.track"))
    done = falw(*ASKED, "--track", "excel", cwd=project)
    assert done.returncode == 2
    assert "'csv', 'tensorboard', 'wandb' or 'mlflow'" in done.stderr


def test_tensorboard(project: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    done = falw(*ASKED, "--track", "tensorboard", cwd=project)
    assert done.returncode == 0, done.stderr
    events = accumulator.EventAccumulator(str(project / "model.unlearned.track" / "version_0"))
    events.Reload()
    assert {"loss", "weight/mean", "evaluation/estimated_gap", "after/retain_accuracy"} <= set(
        events.Tags()["scalars"]
    )


@pytest.mark.slow
def test_mlflow(project: Path) -> None:
    pytest.importorskip("mlflow")
    done = falw(*ASKED, "--track", "mlflow", cwd=project)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(project / "model.unlearned.track" / "mlflow.db") as base:
        found = dict(base.execute("select key, count(*) from metrics group by key").fetchall())
        states = base.execute("select status from runs").fetchall()
    assert found["loss"] > 10
    assert found["after/test_accuracy"] == 1
    assert states == [("FINISHED",)]


@pytest.mark.slow
def test_wandb_stays_offline(project: Path) -> None:
    pytest.importorskip("wandb")
    done = falw(*ASKED, "--track", "wandb", cwd=project)
    assert done.returncode == 0, done.stderr
    assert list((project / "model.unlearned.track" / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.parametrize("kind", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_library_names_what_to_install(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, kind, None)
    with pytest.raises(RequestError, match=f"--track {kind} needs {kind}") as found:
        loggers(Config(track=kind), tmp_path / "out.safetensors")  # type: ignore[arg-type]
    assert found.value.hint == "pip install 'falw[track]'"


def test_every_kind_of_the_config_has_a_logger() -> None:
    from typing import get_args

    (choices, _) = get_args(Config.model_fields["track"].annotation)
    assert set(get_args(choices)) == set(TRACKERS)
