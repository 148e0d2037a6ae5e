"""Packages: builds are reproducible and contain nothing that a user does not need."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

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
        ".py", ".typed", ".j2", ".css"
    } | {""}  # fmt: skip
    assert "falw_cli/py.typed" in names
    (source,) = (tmp_path / "out").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        assert not [name for name in archive.getnames() if "node_modules" in name]


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
