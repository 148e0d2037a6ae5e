"""Shared fixtures: a folder with a trained digits model, made once by the installed command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests import at_once

# One thread per process, before torch is imported: threads of two processes wait for each other's
# cores, and took three times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A deadline fails on a busy machine.
settings.register_profile("falw", deadline=None, max_examples=50)
settings.load_profile("falw")
Falw = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = Path(sys.executable).with_name("falw")
CONFIG = """\
arch: tiny-cnn
data: digits
heldout: digits
train: {epochs: 8}
"""


def clean_environment() -> dict[str, str]:
    """Return the environment without falw settings; one thread is fastest for these small tests."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FALW_")}
    return clean | {"OMP_NUM_THREADS": "1"}


def quick_environment() -> dict[str, str]:
    """Return the environment in which `at_once.command()` forks its ranks too."""
    return clean_environment() | {"TESTS_PYTHON": str(at_once.command().with_name("python"))}


def run_falw(
    *arguments: str | Path, cwd: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a user does."""
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        env=clean_environment() | environment,
    )


def falw(
    *arguments: str | Path, cwd: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run as `run_falw` does, without the import time; not for tests of the startup."""
    known = clean_environment() | environment
    return at_once.call([str(one) for one in arguments], cwd, stdin, known)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests from reading or writing the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only folder: falw.yaml, model.safetensors, ids.txt and retrain.safetensors."""
    return once(tmp_path_factory, "trained", _train)


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """Return a folder that one process of the test run fills, and all read."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            fill(folder)
            done.touch()
    return folder


def _train(folder: Path) -> None:
    (folder / "falw.yaml").write_text(CONFIG)
    for arguments in (
        ("train", "--seed", "1"),
        ("forget-list", "--ratio", "0.2", "--gamma", "1", "--seed", "1"),
        ("train", "--seed", "2", "--without", "ids.txt"),
    ):
        done = falw(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
        if arguments[0] == "forget-list":
            (folder / "ids.txt").write_text(done.stdout)


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder that a test may write to."""
    return shutil.copytree(trained, tmp_path / "project")


@pytest.fixture
def unlearned(trained: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A copy of the trained folder after `falw unlearn` with the defaults."""

    def unlearn(folder: Path) -> None:
        shutil.copytree(trained, folder, dirs_exist_ok=True)
        done = falw("unlearn", "model.safetensors", "--forget", "ids.txt", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "model.unlearned.safetensors\n"

    return shutil.copytree(once(tmp_path_factory, "unlearned", unlearn), tmp_path / "project")
