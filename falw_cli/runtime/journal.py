"""The journal of a commit, and the completion of a commit whose run was killed.

A run writes drafts beside its outputs, then a journal beside the first output, and only then
renames the drafts. The journal names each draft and its digest: it is the commit.

A log, such as the ledger, is appended to by several runs. A commit that includes one also writes a
pointer beside the log, before the journal. So the next run that opens either the outputs or the log
finds the journal, and completes all of it. Files that this run did not name itself are only reached
if journal and pointer name each other, and only by drafts with the names and digests of the
journal: a forged journal reaches no other file. A folder that was moved or copied since keeps its
commit: paths in it are read as paths in its new place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from falw_cli.errors import RunError
from falw_cli.runtime.locks import BusyError, locked

DRAFT, OLD, JOURNAL = "draft", "old", "commit"


@dataclass(frozen=True)
class Journal:
    """Content of a journal."""

    drafts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """(name of the draft, SHA-256 of its content) of each target, a resolved path."""
    log: str | None = None
    """Resolved path of the log among the targets."""

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return json.dumps({"drafts": self.drafts, "log": self.log}).encode()


def hidden(file: Path, kind: str) -> Path:
    """Return the path of a hidden file beside `file`."""
    return file.with_name(f".{file.name}.{kind}")


def target(file: Path) -> Path:
    """Return the path of a file as a journal names it: a file that is a link is itself replaced."""
    return file.parent.resolve() / file.name


def pointer_to(journal: Path) -> bytes:
    """Return the content of a pointer, which lies beside a log."""
    return json.dumps({"journal": str(target(journal))}).encode()


def recover(files: Sequence[Path], folder: Path | None = None) -> None:
    """Complete or remove what dead runs left at outputs; the caller holds the lock of the first.

    Args:
        files: the outputs.
        folder: a folder whose files are all outputs, also those that are not in `files`.

    Raises:
        RunError: the files cannot be cleaned up.
    """
    journal = hidden(files[0], JOURNAL)
    try:
        if journal.exists():
            listed = _read(journal)
            log = Path(listed.log) if listed.log else None
            if log is not None and _pointed_to_by(log) == target(journal):
                with locked(log, wait=True):
                    if journal.exists():
                        _complete(listed, map(Path, listed.drafts))
                        journal.unlink()
            else:
                named, place = {target(file) for file in files}, folder and folder.resolve()
                drafts = map(Path, listed.drafts)
                _complete(listed, (one for one in drafts if one in named or one.parent == place))
            journal.unlink(missing_ok=True)
        for file in files:
            _remove_leftovers(file)
        for left in [*folder.glob(".*")] if folder else []:
            if found := re.fullmatch(rf"\.(.+)\.\d+\.({DRAFT}|{OLD})", left.name):
                _remove_leftovers(left.with_name(found[1]))
    except OSError as error:
        raise RunError(
            f"files that an earlier run left beside {files[0]} cannot be cleaned up: {error}",
            f"check the hidden files .{files[0].name}.* there",
        ) from error


@contextmanager
def opened_log(log: Path) -> Iterator[bytes]:
    """Hold the lock of a log, with the commits of dead runs completed; return its content.

    Args:
        log: resolved path; b"" if there is no such file.

    Raises:
        RequestError: the folder cannot be written.
        RunError: what a dead run left cannot be cleaned up.
    """
    while True:
        with locked(log, wait=True):
            try:
                done = _recover_log(log)
            except OSError as error:
                raise RunError(
                    f"a commit that an earlier run left at {log} cannot be completed: {error}",
                    f"check the hidden files .{log.name}.* there",
                ) from error
            if done:
                yield log.read_bytes() if log.exists() else b""
                return
        # Another run holds the outputs of the dead one, and needs this lock to complete them.


def read_log(log: Path) -> bytes:
    """Return the content of a log, with the commits of dead runs completed.

    Raises:
        OSError: there is no such file, or it cannot be read.
        RequestError, RunError: as `opened_log`, only if a run died during a commit.
    """
    is_present(log)
    return log.read_bytes()


def is_present(log: Path) -> bool:
    """Return whether there is a log, with the commits of dead runs completed.

    Raises:
        RequestError, RunError: as `opened_log`, only if a run died during a commit.
    """
    if hidden(log, JOURNAL).exists():
        with opened_log(log):
            pass
    return log.exists()


def _recover_log(log: Path) -> bool:
    """Complete or remove what a dead run left at a log; return False if its outputs are locked.

    Raises:
        OSError: the files cannot be changed, or the journal was in a folder that is gone: a draft
            may hold the only copy of a line.
    """
    pointer = hidden(log, JOURNAL)
    journal = _pointed_to_by(log)
    listed = _read(journal) if journal else Journal()
    if journal is not None and listed.log == str(log):
        try:
            with locked(_first(journal)):
                if journal.exists():
                    _complete(listed, map(Path, listed.drafts))
                    journal.unlink()
        except BusyError:
            return False
    elif journal is not None and (listed.log or not journal.parent.is_dir()):
        # With drafts of the outputs beside it, a log that no journal names was not committed.
        left = [] if _drafts(log.with_name(_first(journal).name)) else _drafts(log)
        if left:
            named = ", ".join(str(one) for one in left)
            raise OSError(f"it was moved without {journal}; {named} may hold a line of it")
    _remove_leftovers(log)
    pointer.unlink(missing_ok=True)
    return True


def _read(journal: Path) -> Journal:
    """Return an empty journal if the file is absent, incomplete or malformed: nothing is renamed.

    If its folder was moved or copied, the paths in that folder are those of the new place.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        found = json.loads(journal.read_text())
        drafts = {
            str(path): (str(name), str(digest)) for path, (name, digest) in found["drafts"].items()
        }
        log = str(found["log"]) if found["log"] else None
    except (
        FileNotFoundError,
        NotADirectoryError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ):
        return Journal()
    first, place = journal.name[1 : -len(JOURNAL) - 1], target(journal).parent
    folders = [Path(path).parent for path in drafts if Path(path).name == first]

    def moved(path: str) -> str:
        same = place in folders or Path(path).parent not in folders
        return path if same else str(place / Path(path).name)

    return Journal({moved(path): one for path, one in drafts.items()}, moved(log) if log else None)


def _first(journal: Path) -> Path:
    """Return the first output, beside which a journal lies."""
    return journal.with_name(journal.name[1 : -len(JOURNAL) - 1])


def _drafts(file: Path) -> list[Path]:
    """Return the drafts that dead runs left of a file."""
    return [one for one in file.parent.glob(f".*.{DRAFT}") if _is_leftover(file, one.name)]


def _pointed_to_by(log: Path) -> Path | None:
    """Return the journal that the pointer beside a log names; None without a valid one."""
    try:
        found = Path(json.loads(hidden(log, JOURNAL).read_text())["journal"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None
    if not re.fullmatch(rf"\..+\.{JOURNAL}", found.name) or not found.is_absolute():
        return None
    beside = log.with_name(found.name)  # of a folder that was moved or copied
    return beside if _read(found).log != str(log) == _read(beside).log else found


def _complete(listed: Journal, files: Iterator[Path]) -> None:
    """Rename the drafts of some files to their targets."""
    for file in files:
        name, digest = listed.drafts.get(str(file), ("", ""))
        draft = file.parent / Path(name).name
        if _is_leftover(file, draft.name) and _has(draft, digest):
            os.replace(draft, file)  # noqa: PTH105


def _has(draft: Path, digest: str) -> bool:
    """Return whether a draft is a regular file with this SHA-256; renamed ones are gone."""
    if draft.is_symlink() or not draft.is_file():
        return False
    return hashlib.sha256(draft.read_bytes()).hexdigest() == digest


def _remove_leftovers(file: Path) -> None:
    for name in os.listdir(file.parent):  # noqa: PTH208
        if _is_leftover(file, name):
            (file.parent / name).unlink(missing_ok=True)


def _is_leftover(file: Path, name: str) -> bool:
    """Return whether a dead run left this draft of a file or of its saved state."""
    own = re.escape(file.name)
    return re.fullmatch(rf"\.{own}(\.state)?\.\d+\.({DRAFT}|{OLD})", name) is not None
