"""`falw audit`, and `falw unlearn` with all options of the audit: the command, on the digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from falw_cli.audit.report import Report
from tests.conftest import falw


@pytest.mark.slow
def test_shadow_models_are_trained_once_and_their_cost_is_shown(unlearned: Path) -> None:
    project = unlearned
    asked = ("audit", "model.unlearned.safetensors", "--forget", "ids.txt", "--shadow", "4")
    dry = falw(*asked, "--dry-run", cwd=project)
    assert dry.returncode == 0, dry.stderr
    assert "train 4 models, unlearn samples from 4 models" in dry.stderr
    assert not (project / "falw-shadows").exists()
    first = falw(*asked, "--json", "--jobs", "2", cwd=project)
    assert first.returncode == 0, first.stderr
    found = Report.model_validate_json(first.stdout).per_sample
    assert found is not None
    assert (found.models, found.forget) == (4, len((project / "ids.txt").read_text().split()))
    assert first.stderr.index("train 4 models") < first.stderr.index("shadow models: ")
    again = falw(*asked, "--json", "--force", cwd=project)
    assert "train 0 models, unlearn samples from 0 models" in again.stderr
    assert Report.model_validate_json(again.stdout).per_sample == found
    other = falw(
        "audit", "model.unlearned.safetensors", "--forget", "ids.txt", "--shadow", "3", cwd=project
    )
    assert other.returncode == 2
    assert "even number" in other.stderr


@pytest.mark.slow
def test_evidence_on_a_list_of_one(project: Path) -> None:
    known = (project / "ids.txt").read_text().splitlines()[0]
    (project / "one.txt").write_text(f"# a request\n\n{known}\n{known}\n")
    done = falw("unlearn", "model.safetensors", "--forget", "one.txt", "--no-forgotten-gate",
                cwd=project)  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = ("audit", "model.unlearned.safetensors", "--forget", "one.txt", "--shadow", "4")
    wrong = falw(*asked, "--original", "retrain.safetensors", cwd=project)
    assert wrong.returncode == 2
    *_, error, hint = wrong.stderr.strip().splitlines()
    assert error.startswith("error: retrain.safetensors is not the checkpoint")
    assert hint.startswith("hint: ")
    assert not (project / "falw-shadows").exists()
    first = falw(*asked, cwd=project)
    assert first.returncode == 0, first.stderr
    assert "train 4 models, unlearn samples from 2 models" in first.stderr
    assert "--original FILE adds it" in first.stderr
    assert first.stderr.index("fewer than 16 shadow models") < first.stderr.index("shadow models: ")
    assert "sample 1" in first.stdout
    assert "before" not in first.stdout
    report = ("--original", "model.safetensors", "--json", "--force")
    again = falw(*asked, *report, cwd=project)
    assert "train 0 models, unlearn samples from 0 models" in again.stderr
    found = Report.model_validate_json(again.stdout).per_sample
    assert found is not None
    assert found.ulira is None
    assert [one.position for one in found.samples] == [1]
    assert found.samples[0].before is not None
    assert found.samples[0].after.false_positive_rate >= 100 / 3 - 1e-9


def test_a_list_on_stdin_is_read_once(project: Path) -> None:
    ids = (project / "ids.txt").read_text().splitlines()[:3]
    done = falw(
        "audit", "model.safetensors", "--forget", "-", "--shadow", "4", "--dry-run",
        stdin="\n".join(ids), cwd=project,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 shadow models" in done.stderr


@pytest.mark.slow
def test_all_audit_options_together(project: Path) -> None:
    done = falw(
        "unlearn", "model.safetensors", "--forget", "ids.txt", "--reference", "retrain.safetensors",
        "--html", "--relearn", "--robustness", "--metrics", "forget_accuracy,mia_auc:2",
        "--epochs", "2", "--gate", "mia.auc.upper<=1", "--gate", "distance.p_value>=0",
        "--gate", "tail.deviation<99", cwd=project,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((project / "model.unlearned.audit.json").read_text())
    assert report["config"]["metrics"] == ["forget_accuracy", "mia_auc:2"]
    after, truth = report["metrics"]["after"], report["metrics"]["reference"]
    expected = abs(after["forget_accuracy"] - truth["forget_accuracy"])
    expected += 2 * 100 * abs(after["mia"]["auc"]["value"] - truth["mia"]["auc"]["value"])
    assert after["avg_gap"] == pytest.approx(expected / 3)
    assert report["comeback"]["relearned"]["curve"][0][0] == 0
    assert report["robustness"]["samples"] == report["forget"]["count"]
    assert len(report["robustness"]["references"]) == 1
    assert "forget samples recognised again" in done.stderr
    verified = falw("verify", "model.unlearned.audit.json", "--rerun", cwd=project)
    assert verified.returncode == 0, verified.stdout
    assert report["run"]["course"][0]["loss"] > 0
    page = (project / "model.unlearned.audit.html").read_text()
    assert "Relearning" in page
    assert "Recognition with noise" in page
    assert len(report["gates"]) == 4  # including the built-in gate
    assert "gate mia.auc.upper<=1" in done.stderr


def test_an_unknown_metric_is_refused_before_the_run(project: Path) -> None:
    done = falw(
        "unlearn", "model.safetensors", "--forget", "ids.txt", "--metrics", "mia_auk", cwd=project
    )
    assert done.returncode == 2
    assert "did you mean 'mia_auc'" in done.stderr
    assert not (project / "model.unlearned.safetensors").exists()
