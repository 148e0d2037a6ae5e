"""Outputs: written completely or not at all, by one run at a time, even if a run is killed.

Files are written to drafts beside their targets and flushed to disk. A journal then lists the
target of each draft, and only then are the drafts renamed. If a run dies before the journal is
written, the next run with the same output removes its drafts; if it dies later, the next run
completes the renames in the journal.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from falw_cli.errors import RequestError, RunError
from falw_cli.runtime.journal import (
    DRAFT,
    JOURNAL,
    OLD,
    Journal,
    hidden,
    opened_log,
    pointer_to,
    recover,
    target,
)
from falw_cli.runtime.locks import locked

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of file systems without hard links."""
BINARY = getattr(os, "O_BINARY", 0)
"""Without it, Windows changes line ends."""


def check_writable(path: Path, *, force: bool) -> None:
    """Check an output before the work begins.

    Raises:
        RequestError: the folder is missing or read-only, or the file exists without `force`.
    """
    check_folder(path)
    _check_free(path, force=force)


def check_folder(path: Path) -> None:
    """Refuse a file that cannot be created: its folder is missing or read-only, or it is one."""
    folder = path.parent
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder} for {path.name}", "create it first")
    if path.is_dir():
        raise RequestError(f"{path} is a folder", "give a file name")
    if not os.access(folder, os.W_OK):
        raise RequestError(f"{folder} cannot be written", "choose another folder")


def check_log(log: Path) -> None:
    """Check a log before the work begins; it is replaced by each run, so its mode is read.

    Raises:
        RequestError: it is write-protected, or cannot be created.
    """
    check_folder(log.resolve())  # a link is followed
    if log.exists() and not (log.stat().st_mode & 0o222 and os.access(log, os.W_OK)):
        raise RequestError(f"{log} is write-protected", f"allow it: chmod u+w {log}")


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        flag = {".json": "--report", ".yaml": ""}.get(path.suffix, "--out")
        other = f"choose another name with {flag}" if flag else "move it away"
        raise RequestError(f"{path} exists", f"{other}, or replace it with --force")


def check_claim(files: Sequence[Path], *, force: bool, folder: Path | None = None) -> None:
    """Check outputs as `claimed` does, and change nothing.

    Args, Raises: as for `claimed`.
    """
    if folder and not folder.exists():
        check_writable(folder, force=force)
        files = [file for file in files if file.parent != folder]
    for file in files:
        check_writable(file, force=force)


@contextmanager
def claimed(files: Sequence[Path], *, force: bool, folder: Path | None = None) -> Iterator[None]:
    """Lock outputs for one run; other runs are refused until it ends or dies.

    Args:
        files: the outputs.
        force: whether they may already exist.
        folder: their folder; created if it is missing, and removed if it stays empty.

    Before that, the remains of dead runs at these outputs are cleaned up.

    Raises:
        RequestError: as `check_writable`, or another run holds the outputs.
    """
    with _created(folder), ExitStack() as held:
        for file in files:
            check_folder(file)
        held.enter_context(locked(files[0]))
        recover(files, folder)
        for file in files:
            _check_free(file, force=force)
        yield


@contextmanager
def _created(folder: Path | None) -> Iterator[None]:
    """Create a folder, and remove it afterwards if it is empty."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{folder} cannot be created: {error.strerror}", "choose another --out"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


@dataclass(frozen=True)
class Line:
    """A line to append to a log, which other runs append to as well."""

    log: Path
    """The log; created if it is absent."""
    make: Callable[[bytes], bytes]
    """Returns the line for the current content of the log, read under its lock."""


def write_all(
    files: Mapping[Path, bytes], *, private: bool = False, line: Line | None = None
) -> None:
    """Write all files or none, in their order: the last one indicates success.

    Args:
        files: content of each file.
        private: whether only the user may read them.
        line: a line that is appended to a log if, and only if, the files are written.

    Raises:
        RunError: the disk is full or the folder is gone; nothing was replaced.
        RequestError: the log is malformed, or its folder cannot be written.
    """
    mode = 0o600 if private else 0o666
    if line is None:
        _commit(files, mode, None)
        return
    log = line.log.resolve()
    with opened_log(log) as content:
        _commit({**files, log: content + line.make(content)}, mode, log)


def _commit(files: Mapping[Path, bytes], mode: int, log: Path | None) -> None:
    """Write drafts and journal, and rename the drafts; the caller holds the lock of the log."""
    drafts = {path: hidden(path, f"{os.getpid()}.{DRAFT}") for path in files}
    journal = hidden(next(iter(files)), JOURNAL)
    pointer = hidden(log, JOURNAL) if log else None
    kept: dict[Path, Path] = {}
    placed: list[Path] = []
    path = journal
    try:
        for path, content in files.items():
            _write(drafts[path], content, mode if path != log else 0o600)
        for path in files:
            if path.exists():
                kept[path] = hidden(path, f"{os.getpid()}.{OLD}")
                _keep(path, kept[path])
        if log in kept:  # others may share the log
            drafts[log].chmod(stat.S_IMODE(log.stat().st_mode))
        if pointer:
            _write(pointer, pointer_to(journal))
            _flush_folders([pointer])
        if len(files) > 1:
            _write(journal, _journal(files, drafts, log).to_bytes())
        _flush_folders(files)
        for path, draft in drafts.items():
            os.replace(draft, path)  # noqa: PTH105
            placed.append(path)
        _flush_folders(files)
    except BaseException as error:
        _put_back(placed, kept)
        if not isinstance(error, OSError):
            raise
        raise RunError(
            f"{path} cannot be written: {error.strerror or error}; nothing was replaced",
            "free disk space there and run again",
        ) from error
    finally:
        for left in (journal, *drafts.values(), *kept.values(), *([pointer] if pointer else [])):
            # The next run with this output removes what cannot be removed now.
            with suppress(OSError):
                left.unlink(missing_ok=True)


def _journal(files: Mapping[Path, bytes], drafts: Mapping[Path, Path], log: Path | None) -> Journal:
    named = {
        str(target(path)): (drafts[path].name, hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    }
    return Journal(named, str(log) if log else None)


def _keep(path: Path, old: Path) -> None:
    """Keep an existing file under a second name."""
    old.unlink(missing_ok=True)
    try:
        os.link(path, old)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _write(old, path.read_bytes())


def _put_back(placed: list[Path], kept: dict[Path, Path]) -> None:
    """Undo the renames, the last one first."""
    for path in reversed(placed):
        if path in kept:
            os.replace(kept[path], path)  # noqa: PTH105
        else:
            path.unlink()


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    # An existing file of this name is stale or planted: never write into it.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | BINARY, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folders(files: Iterable[Path]) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and needs no flush of one
        return
    for folder in {file.parent for file in files}:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
