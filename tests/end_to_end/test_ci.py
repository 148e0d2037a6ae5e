"""The CI jobs in sample_configs/ci and the action in action.yml, run locally step by step."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import at_once
from tests.conftest import clean_environment

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "sample_configs" / "ci"


def run_action(folder: Path, given: dict[str, str]) -> dict[str, str]:
    """Run the steps of action.yml except the installation, and return the outputs."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()} | given
    assert set(inputs) == set(action["inputs"])
    output, summary = folder / "output", folder / "summary.md"
    output.touch()
    steps = action["runs"]["steps"]
    assert "pip install" in steps[0]["run"]
    for step in steps[1:]:
        said = {k: inputs[v.strip("${} ").removeprefix("inputs.")] for k, v in step["env"].items()}
        here = {
            "PATH": f"{at_once.command().parent}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output), **said,
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=folder,
            env=clean_environment() | here, check=False, capture_output=True, text=True,
            timeout=1200,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        found = dict(line.split("=", 1) for line in output.read_text().splitlines())
        assert (found["passed"] == "true") == (done.returncode == 0)
        assert summary.read_text().startswith("### ")
    return found


@pytest.mark.slow
def test_arguments_of_the_action_are_not_run_as_a_script(project: Path) -> None:
    given = {"model": "model.safetensors", "forget": "ids.txt"}
    arguments = "--gate 'test_accuracy >= 101' --seed 3 --track \"$(touch here)\""
    assert not (project / "here").exists()
    with pytest.raises(AssertionError, match="track"):
        run_action(project, given | {"arguments": arguments})
    assert not (project / "here").exists()
    arguments = "--gate 'test_accuracy >= 101' --seed 3"
    assert run_action(project, given | {"arguments": arguments})["passed"] == "false"


def github(job: dict[str, Any]) -> list[str]:
    steps = job["jobs"]["forget"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def gitlab(job: dict[str, Any]) -> list[str]:
    forget = job["forget"]
    return [*forget["before_script"], *forget["script"], *forget["after_script"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lines_of"), [("github-actions.yml", github), ("gitlab-ci.yml", gitlab)]
)
def test_the_job_runs(project: Path, name: str, lines_of: Any) -> None:
    lines = lines_of(yaml.safe_load((FOLDER / name).read_text()))
    assert lines[0] == "pip install falw"
    assert len(lines) == 4
    summary = project / "summary.md"
    here = {"PATH": f"{at_once.command().parent}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": summary}
    codes = []
    for line in lines[1:]:
        done = subprocess.run(
            ["bash", "-c", line], cwd=project, env=clean_environment() | here, check=False,
            capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
        codes.append(done.returncode)
        assert done.returncode in (0, 1), done.stderr
    assert codes[1:] == [0, 0]
    suite = ET.parse(project / "model.unlearned.audit.junit.xml").find("testsuite")
    assert suite is not None
    assert suite.get("tests") == "4"  # the verdict, the two of the job, and the built-in gate
    assert (suite.get("failures") == "0") == (codes[0] == 0)
    comment = summary if name == "github-actions.yml" else project / "model.unlearned.audit.md"
    assert comment.read_text().startswith("### model.unlearned: ")
    assert "| retain\\_accuracy\\>=95 |" in comment.read_text()
