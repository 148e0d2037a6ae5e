"""`csv:FILE`: columns path and label, optionally id and split; paths are below the CSV's folder."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from falw_cli.data.columns import SPLIT, label_notes
from falw_cli.data.labels import number
from falw_cli.data.listing import (
    Files,
    Listing,
    Source,
    Spec,
    Table,
    choose_part,
    file_of,
    inside,
)
from falw_cli.data.text import Lines, check_header
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a CSV, in the order of their IDs."""
    file = file_of(spec)
    label = spec.label_column or "label"
    parts: Counter[str] = Counter()
    rows, slashed = [], 0
    columns: Iterable[str] = ()
    split: str | None = None
    for line, row in _lines(spec, label):
        if not columns:
            columns, split = row, _split_column(row)
        part = _part(row, split)
        if split is not None:
            parts[part] += 1
        if _is_of(spec, part):
            rows.append(_row(file, line, row, label, allow_outside))
            slashed += "\\" in row["path"] and rows[-1][1] != row["path"]
    if spec.part and not parts:
        raise RequestError(f"{file} has no column split", f"leave out #{spec.part}")
    names = tuple(sorted({name.casefold() for name in parts if name}))
    identity = spec.identity
    if spec.part:
        identity = replace(spec, part=choose_part(spec, names)).identity
    rows.sort(key=lambda row: row[0])
    labels = number([row[2] for row in rows], str(file), [row[3] for row in rows])
    notes = [*label_notes(columns, label, spec), *labels.notes, *_split_notes(spec, parts)]
    if slashed:
        paths = counted(slashed, "path has", "paths have")
        notes.append(f"{paths} Windows' backslashes, which are read as /")
    ids = tuple(row[0] for row in rows)
    files = Files(file.parent, tuple(row[1] for row in rows))
    return Listing(
        spec.text, identity, ids, labels.indices, labels.classes, labels.numbered, files,
        table=partial(_table, spec, label), notes=tuple(notes), parts=names,
    )  # fmt: skip


def _split_column(columns: Iterable[str]) -> str | None:
    """Return the name of the column split, in any case; None if there is none."""
    return next((name for name in columns if name and name.strip().casefold() == SPLIT), None)


def _part(row: dict[str, Any], split: str | None) -> str:
    """Return the part that a row belongs to by its column `split`; "" for none."""
    return "" if split is None else str(row[split] or "").strip()


def _is_of(spec: Spec, part: str) -> bool:
    """Return whether a part is the one that a SPEC names, in any case; without one, all are."""
    return not spec.part or part.casefold() == spec.part.casefold()


def _split_notes(spec: Spec, parts: Counter[str]) -> Iterator[str]:
    """Yield the warnings on the column split.

    Args: parts, the number of rows by value, "" for none.
    """
    counts = ", ".join(f"{name or 'none'} {count}" for name, count in sorted(parts.items()))
    if not spec.part:
        if len(parts) > 1:
            one = f"{spec.text}#{min(name.casefold() for name in parts if name)}"
            yield f"all values of the column split are used ({counts}); one of them: {one}"
        return
    alike = sorted(name for name in parts if name.casefold() == spec.part.casefold())
    if alike != [spec.part]:
        counts = ", ".join(f"{name} {parts[name]}" for name in alike)
        yield f"the column split is matched without regard to case: {counts}"
    if blank := parts[""]:
        one, more = "row has no split and was", "rows have no split and were"
        yield f"{counted(blank, one, more)} passed over"


def _lines(spec: Spec, label: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and cells of each row."""
    file = file_of(spec)
    try:
        with file.open("rb") as stream:
            reader = csv.DictReader(Lines(stream, str(file)), strict=True)
            columns = reader.fieldnames or []
            if not {"path", label} <= set(columns):
                raise RequestError(
                    f"{file} line 1: columns are {', '.join(columns) or 'missing'}",
                    _column_hint(columns, label),
                )
            check_header(columns, f"{file} line 1")
            for row in reader:
                if len(row) > len(columns):
                    raise RequestError(
                        f"{file} line {reader.line_num}: more than {len(columns)} cells",
                        'put a value that contains a comma in quotes: "a, b.png"',
                    )
                if any(row.values()):
                    yield reader.line_num, row
    except csv.Error as error:
        raise RequestError(f"{file}: not a CSV: {error}", "save it again as CSV") from error


def _column_hint(columns: Sequence[str], label: str) -> str:
    """Return what to do about a header without the columns path and `label`."""
    if sign := next((sign for sign in ";\t|" if any(sign in name for name in columns)), None):
        return f"separate columns by commas, not by {'tabs' if sign == chr(9) else repr(sign)}"
    hint = f"provide the columns path,{label} and, optionally, id"
    return hint if "path" not in columns else f"{hint}; another label: --label-column NAME"


def _table(spec: Spec, label: str) -> Table:
    """Return all columns except path and id."""
    every = [row for _, row in _lines(spec, label)]
    split = _split_column(every[0] if every else ())
    rows = [row for row in every if _is_of(spec, _part(row, split))]
    names = [name for name in (rows[0] if rows else ()) if name and name not in ("path", "id")]
    ids = [str(row.get("id") or row["path"]) for row in rows]
    return Table(ids, {name: [row[name] for row in rows] for name in names})


def _row(
    file: Path, line: int, row: dict[str, Any], column: str, allow_outside: bool
) -> tuple[str, str, str, int]:
    """Return ID, path and label of a row, and its line."""
    path, label = row.get("path"), row.get(column)
    if not path or not label or not label.strip() or "\0" in path:
        raise RequestError(f"{file} line {line}: path or {column} is missing", "fix that line")
    where = path
    if "\\" in path and not (file.parent / path).exists():
        slashed = path.replace("\\", "/")
        if not (file.parent / slashed).exists():
            raise RequestError(
                f"{file} line {line}: no file {path!r}, nor {slashed!r}",
                "the path has Windows' backslashes: write it with / below the CSV's folder",
            )
        where = slashed
    if not allow_outside and not inside(file.parent / where, file.parent):
        raise RequestError(
            f"{file} line {line}: {path!r} is outside the CSV's folder",
            "keep the images below the CSV, or give --allow-outside if you trust it",
        )
    return str(row.get("id") or path), str(where), str(label).strip(), line


source = Source(listing, parts="any", columns=True)
