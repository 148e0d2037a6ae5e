"""`csv:FILE`: columns path and label, optionally id and split; paths are below the CSV's folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from falw_cli.data.listing import Files, Listing, Source, Spec, Table, file_of, inside, number
from falw_cli.data.text import Lines
from falw_cli.errors import RequestError


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a CSV, in the order of their IDs."""
    file = file_of(spec)
    rows = [_row(file, line, row, allow_outside) for line, row in _lines(spec)]
    rows.sort(key=lambda row: row[0])
    labels, classes, numbered = number([row[2] for row in rows], str(file))
    ids = tuple(row[0] for row in rows)
    files = Files(file.parent, tuple(row[1] for row in rows))
    table = partial(_table, spec)
    return Listing(spec.text, spec.identity, ids, labels, classes, numbered, files, table=table)


def _lines(spec: Spec) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and cells of each row of the part."""
    file = file_of(spec)
    try:
        with file.open("rb") as stream:
            reader = csv.DictReader(Lines(stream, str(file)), strict=True)
            columns = reader.fieldnames or []
            if not {"path", "label"} <= set(columns):
                raise RequestError(
                    f"{file} line 1: columns are {', '.join(columns) or 'missing'}",
                    "provide the columns path,label and, optionally, id",
                )
            if spec.part and "split" not in columns:
                raise RequestError(f"{file} has no column split", f"leave out #{spec.part}")
            for row in reader:
                if any(row.values()) and (not spec.part or row.get("split") == spec.part):
                    yield reader.line_num, row
    except csv.Error as error:
        raise RequestError(f"{file}: not a CSV: {error}", "save it again as CSV") from error


def _table(spec: Spec) -> Table:
    """Return all columns except path and id."""
    rows = [row for _, row in _lines(spec)]
    names = [name for name in (rows[0] if rows else ()) if name and name not in ("path", "id")]
    ids = [str(row.get("id") or row["path"]) for row in rows]
    return Table(ids, {name: [row[name] for row in rows] for name in names})


def _row(file: Path, line: int, row: dict[str, Any], allow_outside: bool) -> tuple[str, str, str]:
    path, label = row.get("path"), row.get("label")
    if not path or not label or "\0" in path:
        raise RequestError(f"{file} line {line}: path or label is missing", "fix that line")
    if not allow_outside and not inside(file.parent / path, file.parent):
        raise RequestError(
            f"{file} line {line}: {path!r} is outside the CSV's folder",
            "keep the images below the CSV, or give --allow-outside if you trust it",
        )
    return str(row.get("id") or path), str(path), str(label).strip()


source = Source(listing, parts="optional")
