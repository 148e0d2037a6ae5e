"""Locks beside files, which end with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from falw_cli.errors import RequestError, RunError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""Errors of a full or broken disk, which the request did not cause."""
BUSY = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}
LONGEST_WAIT = 600.0
"""Seconds after which a run stops waiting for another run's lock."""
POLL = 0.05


class BusyError(RequestError):
    """Another run holds the lock."""


@contextmanager
def locked(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock beside the file, `.NAME.lock`.

    Args:
        file: the file to lock; it need not exist.
        wait: whether to wait for another run to release the lock.

    Raises:
        BusyError: another run holds the lock, and still does after LONGEST_WAIT if `wait` is set.
        RequestError: the folder cannot be written, or its file system has no locks.
        RunError: the disk is full.
    """
    path = file.with_name(f".{file.name}.lock")
    until = time.monotonic() + (LONGEST_WAIT if wait else 0)
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in BUSY:
                raise RequestError(
                    f"{path} cannot be locked: {error.strerror}", "choose a folder on a local disk"
                ) from error
            if time.monotonic() >= until:
                raise BusyError(
                    f"another run is writing {file}", "wait for it, or choose another file"
                ) from error
            time.sleep(POLL)
            continue
        if _is_at(descriptor, path):
            break
        os.close(descriptor)  # the previous run has just removed its lock: try again
    try:
        yield
    finally:
        with suppress(OSError):  # the next run removes it
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        kind = RunError if error.errno in FULL else RequestError
        raise kind(
            f"{path.parent} cannot be written: {error.strerror}", "choose another folder"
        ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
