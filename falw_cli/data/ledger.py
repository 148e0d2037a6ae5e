"""The ledger: one JSON line per completed run, from which earlier requests are recognised.

A line holds no ID: each ID is an HMAC-SHA-256 under the random salt of its line, so that lines of
the same ID differ. A training sample belongs to a request if its ID has the same HMAC. Who holds
both a ledger and a list of candidate IDs can compute this too, so a ledger is personal data still.

Each line holds the SHA-256 of the line before it. A line that was changed, moved or removed breaks
this chain. A change of the last line is found with the report of its run, which holds the digest
of that line (`falw verify --ledger`; a run checks the report beside its ledger or model).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from falw_cli.config.paths import similar
from falw_cli.data.images import Rows
from falw_cli.data.text import BOM
from falw_cli.errors import RequestError
from falw_cli.runtime.journal import read_log

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
FIRST = "0" * 64
"""What the first line holds in place of the digest of the line before."""

CHECK_PATH = "check the path after --ledger or in FALW_LEDGER"


class Entry(BaseModel):
    """A completed run. All digests are SHA-256, in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    created: AwareDatetime
    """When the outputs were written, UTC."""
    previous: Digest = FIRST
    """Digest of the line before, without its line break."""
    salt: Digest
    ids: tuple[Digest, ...]
    """HMAC of each ID of the forget list under the salt, sorted."""
    model: Digest
    """Digest of the checkpoint that was read."""
    forget_list: Digest
    output: Digest
    """Digest of the checkpoint that was written."""
    output_name: str
    report: Digest
    """Digest of the report's file."""
    report_name: str
    forgotten: Literal[False] | None = None
    """False if the audit of the run did not show that the whole list is forgotten. Left out
    otherwise."""

    def rows(self, ids: Sequence[str]) -> Rows:
        """Return the rows of `ids` that were on the list, sorted."""
        known, key = set(self.ids), bytes.fromhex(self.salt)
        return np.array([row for row, name in enumerate(ids) if _keyed(key, name) in known], "i8")

    @property
    def of_run(self) -> str:
        """Digest of what the line says of its run. The report holds it, so it leaves that out."""
        said = self.model_dump_json(exclude={"previous", "report"}, exclude_none=True)
        return digest(said.encode())


@dataclass(frozen=True)
class Run:
    """What an entry says of a run."""

    ids: Sequence[str]
    """IDs of the forget list; they are not stored."""
    model: str
    forget_list: str
    output: str
    output_name: str
    report: str
    report_name: str
    forgotten: Literal[False] | None = None

    def entry(self) -> Entry:
        """Return the entry with a new salt, not yet linked to the line before."""
        salt = secrets.token_hex(32)
        key = bytes.fromhex(salt)
        said = {name: value for name, value in vars(self).items() if name != "ids"}
        hashes = tuple(sorted(_keyed(key, name) for name in self.ids))
        return Entry(created=datetime.now(timezone.utc), salt=salt, ids=hashes, **said)


def _keyed(key: bytes, name: str) -> str:
    return hmac.digest(key, name.encode("utf-8", "surrogateescape"), "sha256").hex()


def next_line(content: bytes, entry: Entry, where: str) -> bytes:
    """Return the line that appends an entry to a ledger.

    Raises:
        RequestError: the ledger is malformed.
    """
    parse(content, where)
    lines = _lines(content)
    linked = entry.model_copy(update={"previous": digest(lines[-1]) if lines else FIRST})
    return linked.model_dump_json(exclude_none=True).encode() + b"\n"


def read(path: str | Path) -> tuple[Entry, ...]:
    """Read a ledger.

    Raises:
        RequestError: the file cannot be read, or a line is malformed or does not follow the line
            before.
    """
    return parse(content_of(path), str(path))


def content_of(path: str | Path) -> bytes:
    """Return the bytes of a ledger, with the commits of killed runs completed.

    Raises:
        RequestError: the file cannot be read.
    """
    try:
        return read_log(Path(path).resolve())
    except OSError as error:
        raise RequestError(
            f"ledger {path} cannot be read: {error.strerror}",
            f"{similar(path)}{CHECK_PATH}",
        ) from error


def parse(content: bytes, where: str) -> tuple[Entry, ...]:
    """Return the entries of a ledger whose lines follow each other.

    Args:
        content: of the file.
        where: its path, for messages.

    Raises:
        RequestError: a line is malformed, or does not follow the line before.
    """
    entries = parse_lines(content, where)
    for number in unlinked(content, entries):
        raise RequestError(f"ledger {where} line {number} {UNLINKED}", RESTORE)
    return entries


def parse_lines(content: bytes, where: str) -> tuple[Entry, ...]:
    """Return the entries of a ledger, whether or not its lines follow each other.

    Args, Raises: as `parse`, for malformed lines.
    """
    content = content.removeprefix(BOM)  # an editor added it
    if content and not content.startswith(b"{"):
        raise RequestError(f"{where} is not a ledger", "give another path after --ledger")
    if content and not content.endswith(b"\n"):
        number = content.count(b"\n") + 1
        raise RequestError(f"ledger {where} line {number} is incomplete", RESTORE)
    lines = enumerate(content.split(b"\n")[:-1], 1)
    known = ((number, line) for number, line in lines if line.strip())
    return tuple(_entry(line, f"ledger {where} line {number}") for number, line in known)


def _lines(content: bytes) -> list[bytes]:
    """Return the lines of a ledger without line breaks, blank lines and a byte order mark."""
    return [line for line in content.removeprefix(BOM).split(b"\n") if line.strip()]


def _entry(line: bytes, where: str) -> Entry:
    try:
        return Entry.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise RequestError(f"{where} is malformed at {at}: {first['msg']}", RESTORE) from error


def unlinked(content: bytes, entries: Sequence[Entry]) -> list[int]:
    """Return the numbers of the lines that do not hold the digest of the line before, from 1."""
    before = [FIRST, *map(digest, _lines(content))]
    pairs = enumerate(zip(entries, before, strict=False), 1)
    return [number for number, (entry, known) in pairs if entry.previous != known]


def refuse_changed(entries: Sequence[Entry], folders: Iterable[Path], where: str) -> None:
    """Refuse a last line that the report of its run contradicts, if that lies in a folder.

    Raises:
        RequestError: the report holds another digest of the line.
    """
    for file in (folder / Path(one.report_name).name for one in entries[-1:] for folder in folders):
        last = entries[-1]
        try:
            content = file.read_bytes()
            said = json.loads(content) if digest(content) == last.report else {}
        except (OSError, ValueError):  # not at hand, or no report
            continue
        if isinstance(said, dict) and said.get("ledger_line") not in (None, last.of_run):
            raise RequestError(
                f"ledger {where} line {len(entries)} was changed: report {file} holds another "
                "digest of this line",
                RESTORE,
            )


UNLINKED = "does not follow the line before it: a line was changed, moved or removed"
RESTORE = "restore the ledger from a backup, or name the earlier lists with --forgotten"


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its line break."""
    return hashlib.sha256(line).hexdigest()
