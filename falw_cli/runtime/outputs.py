"""Outputs: written whole or not at all, by one run at a time, whatever happens meanwhile.

Files are written to drafts beside their places and flushed to disk; a journal then says where each
belongs, and only after that are they renamed. A run that dies before the journal leaves drafts,
which the next run at the same output removes; one that dies after it leaves the journal, by which
the next run puts the rest in place.
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
"""What file systems without hard links say."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""What a disk says that has no room, or is broken: no fault of the request."""
BUSY = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}


def check_writable(path: Path, *, force: bool) -> None:
    """Refuse an output before the work begins, rather than after it.

    Raises:
        RequestError: the folder is missing or read-only, or the file exists without `force`.
    """
    _check_folder(path)
    _check_free(path, force=force)


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder} for {path.name}", "make it first")
    if path.is_dir():
        raise RequestError(f"{path} is a folder", "name a file")
    if not os.access(folder, os.W_OK):
        raise RequestError(f"{folder} cannot be written", "choose another folder")


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise RequestError(f"{path} exists", "choose another name, or replace it with --force")


@contextmanager
def claimed(files: Sequence[Path], *, force: bool, folder: Path | None = None) -> Iterator[None]:
    """Hold outputs for one run: others are refused at once, until it ends or dies.

    Args:
        files: the outputs.
        force: may they be there already?
        folder: one that they lie in, made where it is missing and removed where it stays empty.

    What a dead run left at the files is put in order before.

    Raises:
        RequestError: as `check_writable`, or another run holds the outputs.
    """
    with _made(folder), ExitStack() as held:
        for file in files:
            _check_folder(file)
        held.enter_context(_alone(files[0]))
        mend(files)
        for file in files:
            _check_free(file, force=force)
        yield


@contextmanager
def _made(folder: Path | None) -> Iterator[None]:
    """A folder that is there for the time, and afterwards if anything was written into it."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{folder} cannot be made: {error.strerror}", "choose another --out"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """A lock beside the file, which ends with its process."""
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
        os.close(descriptor)  # the run before took its lock away just now: take a new one
    try:
        yield
    finally:
        with suppress(OSError):  # the next run takes it away
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def mend(files: Sequence[Path]) -> None:
    """Put in order what dead runs left at outputs; the lock of the first is held.

    Raises:
        RunError: it cannot be put in order.
    """
    journal = _hidden(files[0], JOURNAL)
    try:
        if journal.exists():
            drafts = _listed(journal)
            for file in files:  # these alone: a journal that was planted leads nowhere else
                if isinstance(name := drafts.get(str(file.resolve())), str):
                    draft = file.parent / Path(name).name
                    if draft.exists() and _left(file, draft.name):
                        os.replace(draft, file)  # noqa: PTH105
            journal.unlink()
        for file in files:
            for name in os.listdir(file.parent):  # noqa: PTH208
                if _left(file, name):
                    (file.parent / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"what an earlier run left beside {files[0]} cannot be put in order: {error}",
            f"look at the hidden files .{files[0].name}.* there",
        ) from error


def _listed(journal: Path) -> dict[str, object]:
    """Where drafts belong. A journal that is not whole was being written: nothing was renamed."""
    try:
        found = json.loads(journal.read_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _left(file: Path, name: str) -> bool:
    """Is this what a run leaves of a file, or of its saved state, when it dies?"""
    own = re.escape(file.name)
    return re.fullmatch(rf"\.{own}(\.state)?\.\d+\.({DRAFT}|{OLD})", name) is not None


def _hidden(file: Path, kind: str) -> Path:
    return file.with_name(f".{file.name}.{kind}")


def _own(file: Path, kind: str) -> Path:
    return _hidden(file, f"{os.getpid()}.{kind}")


def write_all(files: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write files whole or not at all, in their order: the last one stands for success.

    Args:
        files: what goes where.
        private: may only the user read them?

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
            "make room there and run again",
        ) from error
    finally:
        for left in (journal, *drafts.values(), *kept.values()):
            # What cannot be removed now, the next run at this output removes.
            with suppress(OSError):
                left.unlink(missing_ok=True)


def _keep(path: Path, old: Path) -> None:
    """What was there before, under another name as well."""
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
    # Created anew: what lies there under this process's number is nobody's, or a trap.
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
