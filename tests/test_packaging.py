"""Packages: builds are reproducible and contain nothing that a user does not need."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from falw_cli.version import __version__
from tests.conftest import clean_environment

ROOT = Path(__file__).parents[1]


def build(into: Path, copy: Path) -> dict[str, bytes]:
    """Build the wheel and sdist of a copy of the project; return their bytes by name."""
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns("node_modules", ".*", "__pycache__", "docs")
    )
    shutil.copy(ROOT / ".gitignore", copy)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(into)],
        cwd=copy, check=True, capture_output=True,
    )  # fmt: skip
    return {file.name: file.read_bytes() for file in into.iterdir()}


@pytest.mark.slow
def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    one = build(tmp_path / "one", tmp_path / "here")
    other = build(tmp_path / "other", tmp_path / "there" / "deeper")
    assert len(one) == 2
    assert one == other


@pytest.mark.slow
def test_the_wheel_contains_only_the_package(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build(tmp_path / "out", tmp_path / "copy")
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "falw_cli", f"{wheel.name.split('-py3')[0]}.dist-info"
    }  # fmt: skip
    assert {Path(name).suffix for name in names if name.startswith("falw_cli/")} <= {
        ".py", ".typed", ".j2", ".css", ".js"
    } | {""}  # fmt: skip
    assert "falw_cli/py.typed" in names
    run_installed(wheel, tmp_path)
    (source,) = (tmp_path / "out").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        assert not [name for name in archive.getnames() if "node_modules" in name]


def run_installed(wheel: Path, folder: Path) -> None:
    """Install the wheel alone, and run it outside the repository, dependencies aside."""
    there = folder / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--target", str(there), str(wheel)], check=True)
    environment = clean_environment() | {"PYTHONPATH": str(there), "PATH": os.environ["PATH"]}
    commands = (
        ["forget-list", "--data", "digits", "--count", "20"],
        ["train", "--arch", "tiny-cnn", "--data", "digits", "--epochs", "1"],
        ["unlearn", "model.safetensors", "--forget", "ids.txt", "--data", "digits", "--heldout",
         "digits", "--no-forgotten-gate", "--html"],
    )  # fmt: skip
    for arguments in (["--version"], *commands):
        done = subprocess.run(
            [sys.executable, "-m", "falw_cli", *arguments], cwd=folder, env=environment,
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if arguments == ["--version"]:
            assert done.stdout == f"falw {__version__}\n"
        elif arguments[0] == "forget-list":
            (folder / "ids.txt").write_text(done.stdout)
    assert (folder / "model.unlearned.audit.html").exists()


def test_each_named_python_version_is_allowed_and_understands_the_syntax() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r"Python :: (3\.\d+)", text)
    assert named == [f"3.{minor}" for minor in range(10, 15)]
    (required,) = re.findall(r'^requires-python = "(.+)"', text, re.MULTILINE)
    assert all(version in SpecifierSet(required) for version in named)
    assert "3.9" not in SpecifierSet(required)
    for file in (ROOT / "falw_cli").rglob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 10))


def test_the_release_has_one_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    releases = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$",
                          (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)  # fmt: skip
    assert releases[0] == __version__


def test_the_badges_are_made_from_the_metadata() -> None:
    spec = importlib.util.spec_from_file_location("badges", ROOT / "site" / "badges.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    for name, svg in made.badges().items():
        assert (ROOT / "docs" / "badges" / name).read_text() == svg
        assert f"docs/badges/{name}" in (ROOT / "README.md").read_text()


def test_the_forms_of_issues_can_be_read() -> None:
    forms = list((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    assert len(forms) >= 3
    for form in forms:
        content = yaml.safe_load(form.read_text())
        assert content.keys() >= {"name", "description", "body"}
        assert all({"type", "attributes"} <= part.keys() for part in content["body"])


def test_the_container_file_uses_existing_files_and_extras() -> None:
    text = (ROOT / "Containerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, into = line.split()
        assert all((ROOT / name).exists() for name in sources)
        assert into.startswith("/source/")
    (extras,) = re.findall(r"/source\[([\w,]+)\]", text)
    known = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", known, re.MULTILINE) for extra in extras.split(","))
    needed = ("pyproject.toml", "README.md", "LICENSE", "falw_cli")  # files that the build reads
    assert all(name in text for name in needed)
