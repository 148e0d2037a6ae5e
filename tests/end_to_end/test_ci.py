"""The CI jobs of sample_configs/ci, run here step by step."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import clean_environment

FOLDER = Path(__file__).parents[2] / "sample_configs" / "ci"


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
    here = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": summary}
    codes = []
    for line in lines[1:]:
        done = subprocess.run(
            ["bash", "-c", line], cwd=project, env=clean_environment() | here, check=False,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        codes.append(done.returncode)
        assert done.returncode in (0, 1), done.stderr
    assert codes[1:] == [0, 0]
    suite = ET.parse(project / "model.unlearned.audit.junit.xml").find("testsuite")
    assert suite is not None
    assert suite.get("tests") == "2"
    assert (suite.get("failures") == "0") == (codes[0] == 0)
    comment = summary if name == "github-actions.yml" else project / "model.unlearned.audit.md"
    assert comment.read_text().startswith("### model.unlearned: ")
    assert "| `retain\\_accuracy\\>=95` |" in comment.read_text()
