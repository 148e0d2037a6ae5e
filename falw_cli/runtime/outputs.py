"""Outputs: written completely or not at all, by one run at a time, even if a run is killed.

Files are written to drafts beside their targets and flushed to disk. A journal then lists the
target of each draft, and only then are the drafts renamed. If a run dies before the journal is
written, the next run with the same output removes its drafts; if it dies later, the next run
completes the renames in the journal.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from falw_cli.errors import RequestError, RunError

DRAFT, OLD, JOURNAL, LOCK = "draft", "old", "commit", "lock"
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of file systems without hard links."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""Errors of a full or broken disk, which the request did not cause."""
BUSY = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}


def check_writable(path: Path, *, force: bool) -> None:
    """Check an output before the work begins.

    Raises:
        RequestError: the folder is missing or read-only, or the file exists without `force`.
    """
    _check_folder(path)
    _check_free(path, force=force)


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder} for {path.name}", "create it first")
    if path.is_dir():
        raise RequestError(f"{path} is a folder", "give a file name")
    if not os.access(folder, os.W_OK):
        raise RequestError(f"{folder} cannot be written", "choose another folder")


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise RequestError(f"{path} exists", "choose another name, or replace it with --force")


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
            _check_folder(file)
        held.enter_context(_locked(files[0]))
        clean_up(files)
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


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock beside the file, which ends with its process."""
    path = _hidden(file, LOCK)
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            kind = RunError if error.errno in FULL else RequestError
            raise kind(
                f"{path.parent} cannot be written: {error.strerror}", "choose another folder"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in BUSY:
                raise RequestError(
                    f"another run is writing {file}", "wait for it, or choose another --out"
                ) from error
            raise RequestError(
                f"{path} cannot be locked: {error.strerror}", "choose a folder on a local disk"
            ) from error
        if _is_at(descriptor, path):
            break
        os.close(descriptor)  # the previous run has just removed its lock: try again
    try:
        yield
    finally:
        with suppress(OSError):  # the next run removes it
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def clean_up(files: Sequence[Path]) -> None:
    """Clean up the remains of dead runs at outputs; the caller holds the lock of the first.

    Raises:
        RunError: the files cannot be cleaned up.
    """
    journal = _hidden(files[0], JOURNAL)
    try:
        if journal.exists():
            drafts = _listed(journal)
            for file in files:  # a forged journal must not reach other files
                if isinstance(name := drafts.get(str(file.resolve())), str):
                    draft = file.parent / Path(name).name
                    if draft.exists() and _is_leftover(file, draft.name):
                        os.replace(draft, file)  # noqa: PTH105
            journal.unlink()
        for file in files:
            for name in os.listdir(file.parent):  # noqa: PTH208
                if _is_leftover(file, name):
                    (file.parent / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"files that an earlier run left beside {files[0]} cannot be cleaned up: {error}",
            f"check the hidden files .{files[0].name}.* there",
        ) from error


def _listed(journal: Path) -> dict[str, object]:
    """Return target -> draft; {} if the journal is incomplete: then nothing was renamed."""
    try:
        found = json.loads(journal.read_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_leftover(file: Path, name: str) -> bool:
    """Return whether a dead run left this draft of a file or of its saved state."""
    own = re.escape(file.name)
    return re.fullmatch(rf"\.{own}(\.state)?\.\d+\.({DRAFT}|{OLD})", name) is not None


def _hidden(file: Path, kind: str) -> Path:
    return file.with_name(f".{file.name}.{kind}")


def _own(file: Path, kind: str) -> Path:
    return _hidden(file, f"{os.getpid()}.{kind}")


def write_all(files: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write all files or none, in their order: the last one indicates success.

    Args:
        files: content of each file.
        private: whether only the user may read them.

    Raises:
        RunError: the disk is full or the folder is gone; nothing was replaced.
    """
    drafts = {path: _own(path, DRAFT) for path in files}
    journal = _hidden(next(iter(files)), JOURNAL)
    kept: dict[Path, Path] = {}
    placed: list[Path] = []
    path = journal
    try:
        for path, content in files.items():
            _write(drafts[path], content, 0o600 if private else 0o666)
        for path in files:
            if path.exists():
                kept[path] = _own(path, OLD)
                _keep(path, kept[path])
        if len(files) > 1:
            listed = {str(path.resolve()): draft.name for path, draft in drafts.items()}
            _write(journal, json.dumps(listed).encode())
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
        for left in (journal, *drafts.values(), *kept.values()):
            # The next run with this output removes what cannot be removed now.
            with suppress(OSError):
                left.unlink(missing_ok=True)


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
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folders(files: Iterable[Path]) -> None:
    for folder in {file.parent for file in files}:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
