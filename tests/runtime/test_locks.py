"""Locks beside files: who waits, who is refused, and that they end with their process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from falw_cli.errors import RequestError, RunError
from falw_cli.runtime import locks
from falw_cli.runtime.locks import BusyError, locked

HOLDS = (
    "import sys, time; from pathlib import Path; from falw_cli.runtime.locks import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(float(sys.argv[2]))"
)
COUNTS = (
    "import sys; from pathlib import Path; from falw_cli.runtime.locks import locked\n"
    "file = Path(sys.argv[1])\n"
    "for _ in range(int(sys.argv[2])):\n"
    "    with locked(file, wait=True):\n"
    "        file.write_text(str(int(file.read_text()) + 1))"
)


@contextmanager
def holder(file: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock for some seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, file, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_another_process_is_refused_at_once(tmp_path: Path) -> None:
    with holder(tmp_path / "model", 60):
        began = time.monotonic()
        with pytest.raises(BusyError, match="another run is writing"), locked(tmp_path / "model"):
            pass
        assert time.monotonic() - began < 1


def test_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with locked(tmp_path / "model"):
        with pytest.raises(BusyError), locked(tmp_path / "model"):
            pass
        assert (tmp_path / ".model.lock").exists()
    assert not list(tmp_path.iterdir())


def test_a_run_waits_until_the_lock_is_released(tmp_path: Path) -> None:
    with holder(tmp_path / "model", 0.5) as process:
        with locked(tmp_path / "model", wait=True):
            pass
        assert process.wait(10) == 0
    assert not list(tmp_path.iterdir())


def test_a_run_waits_no_longer_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LONGEST_WAIT", 0.3)
    began = time.monotonic()
    with (
        holder(tmp_path / "model", 60),
        pytest.raises(BusyError),
        locked(tmp_path / "model", wait=True),
    ):
        pass
    assert time.monotonic() - began > 0.3


def test_a_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    with holder(tmp_path / "model", 60) as process:
        process.kill()
        process.wait()
        assert (tmp_path / ".model.lock").exists()
        with locked(tmp_path / "model"):
            pass
    assert not list(tmp_path.iterdir())


def test_runs_that_remove_and_make_the_lock_file_never_hold_it_together(tmp_path: Path) -> None:
    """Each process adds 1 to a number, 50 times: two at once would lose an addition."""
    file = tmp_path / "number"
    file.write_text("0")
    command = [sys.executable, "-c", COUNTS, str(file), "50"]
    for process in [subprocess.Popen(command) for _ in range(4)]:
        assert process.wait(120) == 0
    assert file.read_text() == "200"
    assert [one.name for one in tmp_path.iterdir()] == ["number"]


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, RunError, "cannot be written"),
        (errno.EACCES, RequestError, "cannot be written"),
        (errno.EROFS, RequestError, "cannot be written"),
        (errno.ENOSYS, RequestError, "cannot be locked"),
        (errno.ENOLCK, RequestError, "cannot be locked"),
    ],
)
def test_a_lock_that_cannot_be_had_is_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
    message: str,
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "_acquire", fails)
    with pytest.raises(kind, match=message), locked(tmp_path / "model"):
        pass


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(RequestError, match=r"there is no folder .*absent"),
        locked(tmp_path / "absent" / "model"),
    ):
        pass
    assert not list(tmp_path.iterdir())
