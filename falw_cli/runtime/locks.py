"""Locks beside files, which end with the process that holds them, on every system."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from falw_cli.errors import RequestError, RunError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""Errors of a full or broken disk, which the request did not cause."""
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
"""Errors of a folder in which no lock file can be made."""
LONGEST_WAIT = 600.0
"""Seconds after which a run stops waiting for another run's lock."""
POLL = 0.05


def is_lock(name: str) -> bool:
    """Return whether a file's name is that of a lock."""
    return name.startswith(".") and name.endswith(".lock")


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
    if not path.parent.is_dir():  # filelock would create it
        raise RequestError(f"there is no folder {path.parent}", "create it first")
    lock = FileLock(
        path, LONGEST_WAIT if wait else 0, mode=0o600, poll_interval=POLL,
        fallback_to_soft=False,  # such a lock would not end with its process
    )  # fmt: skip
    try:
        lock.acquire()
    except Timeout as error:
        raise BusyError(
            f"another run is writing {file}", "wait for it, or choose another file"
        ) from error
    except OSError as error:
        raise _refused(path, error) from error
    try:
        yield
    finally:
        # Removed while the lock is held: a run that waits for this file notices, and makes a new
        # one. On Windows, filelock removes it.
        if os.name == "posix":
            with suppress(OSError):
                path.unlink(missing_ok=True)
        lock.release()


def _refused(path: Path, error: OSError) -> RequestError | RunError:
    """Return the error for a lock file that cannot be made or locked."""
    if error.errno in FULL:
        return RunError(
            f"{path.parent} cannot be written: {error.strerror}", "choose another folder"
        )
    if error.errno in NOT_WRITABLE:
        return RequestError(
            f"{path.parent} cannot be written: {error.strerror}", "choose another folder"
        )
    return RequestError(
        f"{path} cannot be locked: {error.strerror or error}", "choose a folder on a local disk"
    )
