"""Files that hold a list of sample IDs; the suffix of the name decides how one is read."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from falw_cli.data.text import BOM, Lines, check_header
from falw_cli.errors import RequestError

LIMIT = 1 << 30
"""Maximum size of a list in bytes."""
ARRAY = "save a one-dimensional array of IDs: integers or text"
OBJECTS = 'write a list of IDs, such as ["a.png", "b.png"] or [3, 7]'


@dataclass
class Known:
    """IDs of the data, if they are known; the set is made at its first use.

    `trimmed` counts the names of a file that are IDs only without surrounding spaces.
    """

    ids: Collection[str]
    trimmed: int = 0

    @cached_property
    def _set(self) -> frozenset[str]:
        return frozenset(self.ids)

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def match(self, whole: str) -> str:
        """Return a name of a file as it is if that is an ID, else without surrounding spaces."""
        name = whole.strip()
        if name == whole or whole in self:
            return whole
        self.trimmed += name in self
        return name

    def remarks(self, where: str) -> tuple[str, ...]:
        """Return what the report says of trimmed names; `where` is the file's name."""
        if not self.trimmed:
            return ()
        return (f"{where}: IDs found only without the spaces around them: {self.trimmed}",)

    def starts_with_hash(self) -> bool:
        """Return whether any ID begins with `#`."""
        return any(name.startswith("#") for name in self.ids)


@dataclass(frozen=True)
class Content:
    """What a file holds: IDs in its order, SHA-256 of its bytes, and remarks for the report."""

    names: list[str]
    sha256: str
    remarks: tuple[str, ...] = ()


def read_names(path: str, where: str, known: Known) -> Content:
    """Read the IDs of a file; `-` is stdin, as text.

    Args:
        path: `.csv`, `.npy`, `.json`, `.jsonl`, or any other name for text.
        where: its name in an error.
        known: IDs of the data, which settle what a line means.

    Raises:
        RequestError: the content is not what the suffix says; the message names the line.
        OSError: the file cannot be read.
    """
    if path != "-" and Path(path).is_file() and _begins_as_ledger(path):
        raise RequestError(f"{where} is a ledger, not a list", "give it as --ledger")
    suffix = "" if path == "-" else Path(path).suffix.lower()
    if suffix in WHOLE:
        content = _bytes(path, where)
        names = [known.match(name) for name in WHOLE[suffix](path, content, where)]
        remarks: tuple[str, ...] = ()
        digest = hashlib.sha256(content).hexdigest()
    else:
        with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as stream:
            lines = Lines(stream, where, LIMIT)
            names, remarks = BY_LINE.get(suffix, _text)(lines, where, known)
            digest = lines.digest.hexdigest()
    if len(names) > 2 and set(names) <= {"0", "1"}:
        raise RequestError(
            f"{where} holds {len(names)} numbers 0 and 1: a mask, or IDs?",
            "for a mask, save numpy.flatnonzero of it; name each ID once",
        )
    return Content(names, digest, (*remarks, *known.remarks(where)))


def _begins_as_ledger(path: str) -> bool:
    with Path(path).open("rb") as stream:
        return stream.read(64).removeprefix(BOM).startswith(b'{"version":1,"created":')


Found = tuple[list[str], tuple[str, ...]]


def _text(lines: Lines, where: str, known: Known) -> Found:
    """Read one ID per line. A line that begins with # is a comment unless it is a known ID."""
    names, comments = [], 0
    for line in lines:
        if not line.strip():
            continue
        name = known.match(line.rstrip("\r\n"))
        if name.startswith("#") and name not in known:
            comments += 1
            continue
        names.append(name)
    if comments and known.starts_with_hash():
        return names, (
            f"{where}: lines that begin with # are no IDs of the data, and were taken for "
            f"comments: {comments}",
        )
    return names, ()


def _csv(lines: Lines, where: str, known: Known) -> Found:
    """Read the column id, or else the only column, or else the only column of IDs of the data.

    The first line of an only column is an ID, unless it is a plain name (letters, digits and _)
    that the data does not have: then it is the column's name, which a remark says.
    """
    rows = csv.reader(lines, strict=True)
    try:
        cells = ((rows.line_num, row) for row in rows if any(cell.strip() for cell in row))
        line, header = next(cells, (0, [""]))
        names = [cell.strip() for cell in header]
        if "id" in names:
            check_header([name for name in names if name == "id"], f"{where} line {line}")
            return list(_cells(cells, names.index("id"), len(names), where, known)), ()
        if len(names) > 1 or any(sign in names[0] for sign in ";\t"):
            return _column_of_ids([*cells], names, f"{where} line {line}", where, known)
        rest = list(_cells(cells, 0, 1, where, known))
        first = known.match(header[0])
    except csv.Error as error:
        raise RequestError(
            f"{where} line {rows.line_num} is not CSV: {error}", "save it again as CSV"
        ) from error
    if not first.isidentifier() or first in known:
        return [first, *rest] if first else rest, ()
    return rest, (f"{where}: line 1 was taken for the name of the column: the data has no such ID",)


def _column_of_ids(
    cells: list[tuple[int, list[str]]], names: list[str], place: str, where: str, known: Known
) -> Found:
    """Read the only column whose cells are all IDs of the data, which a remark names.

    Bare numbers do not count: a column of labels or counts looks like one of row numbers.
    """

    def matching(column: int) -> int:
        found = (row[column].strip() for _, row in cells if column < len(row))
        return sum(cell in known and not cell.isdecimal() for cell in found)

    counts = [0 if name in known else matching(column) for column, name in enumerate(names)]
    whole = [column for column, count in enumerate(counts) if cells and count == len(cells)]
    if len(whole) == 1:
        remark = f"{where}: the column {names[whole[0]]!r} was taken: all its values are IDs"
        return list(_cells(iter(cells), whole[0], len(names), where, known)), (remark,)
    shown = ", ".join(repr(name) for name in names[:10])
    hint = "name the ID column id, separate columns by commas, and quote IDs with commas"
    if not known.ids:
        hint = f"give --data, which shows the column of IDs; or {hint}"
    if len(names) > 1 and max(counts):
        nearly = names[counts.index(max(counts))]
        hint = (
            f"of the column {nearly!r}, {max(counts)} of {len(cells)} values are IDs of the data; "
            "name the ID column id"
        )
    raise RequestError(f"{place}: no column id among {shown}", hint)


def _cells(
    rows: Iterator[tuple[int, list[str]]], column: int, width: int, where: str, known: Known
) -> Iterator[str]:
    """Yield a column's cells; refuse a row without an ID, which would not be forgotten."""
    for line, row in rows:
        if len(row) > width:
            raise RequestError(
                f"{where} line {line} has {len(row)} columns, the first line {width}",
                "quote IDs that contain a comma",
            )
        name = known.match(row[column]) if column < len(row) else ""
        if not name:
            raise RequestError(f"{where} line {line} has no ID", "fill in the column id")
        yield name


def _jsonl(lines: Lines, where: str, known: Known) -> Found:
    """Read an ID per line: a string, an integer, or an object with the key id."""
    names = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{where} line {number}"
        found = _parsed(line, place, 'write a JSON string or {"id": …} on each line')
        if isinstance(found, dict):
            if "id" not in found:
                raise RequestError(f"{place}: no key id", 'name the ID: {"id": "a.png"}')
            found = found["id"]
        names.append(known.match(_name(found, place)))
    return names, ()


def _json(path: str, content: bytes, where: str) -> list[str]:
    try:
        text = content.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"{where} is not UTF-8 text", "save it in UTF-8") from error
    found = _parsed(text, where, OBJECTS)
    if not isinstance(found, list):
        raise RequestError(f"{where} holds no list", OBJECTS)
    return [_name(one, f"{where} entry {number}") for number, one in enumerate(found, 1)]


def _npy(path: str, content: bytes, where: str) -> list[str]:
    try:
        # Mapped: numpy compares the size in the header with the file's before it allocates any.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray) and found.nbytes == 0:
            raise ValueError("it holds no values")  # a header of any length needs no bytes then
        if isinstance(found, np.ndarray) and found.dtype.kind == "S":
            found = np.char.decode(found, "utf-8")
        values = found.tolist() if isinstance(found, np.ndarray) else []  # invalid text fails here
    except Exception as error:  # numpy's header parser raises many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{where} cannot be read as an array: {reason}", ARRAY) from error
    if not isinstance(found, np.ndarray):
        raise RequestError(f"{where} is an archive of arrays", ARRAY)
    if found.dtype.kind == "b":
        raise RequestError(f"{where} holds true and false", "save numpy.flatnonzero of it")
    if found.ndim != 1 or found.dtype.kind not in "iuU":
        shape = "x".join(map(str, found.shape)) or "one value"
        raise RequestError(f"{where} is {found.dtype}, {shape}", ARRAY)
    return [_name(one, f"{where} entry {number}") for number, one in enumerate(values, 1)]


def _bytes(path: str, where: str) -> bytes:
    with Path(path).open("rb") as stream:
        content = stream.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise RequestError(f"{where} is larger than {LIMIT >> 20} MiB", "check that it is a list")
    return content


def _parsed(text: str, place: str, hint: str) -> object:
    try:
        found: object = json.loads(text)
    except json.JSONDecodeError as error:
        within = "" if error.lineno == 1 else f" line {error.lineno}"
        raise RequestError(f"{place}{within} is not JSON: {error.msg}", hint) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{place} is not JSON: {error}", hint) from error
    return found


def _name(found: object, place: str) -> str:
    """Return an ID as text: of a string or an integer."""
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise RequestError(f"{place} must be a string or an integer: {str(found)[:40]}", OBJECTS)
    name = str(found)
    if not name.strip():
        raise RequestError(f"{place} is empty", "remove it, or write the ID")
    return name


WHOLE: dict[str, Callable[[str, bytes, str], list[str]]] = {".json": _json, ".npy": _npy}
BY_LINE: dict[str, Callable[[Lines, str, Known], Found]] = {".csv": _csv, ".jsonl": _jsonl}
