"""Metadata files: CSV or Parquet tables with a column `id`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from falw_cli.config.paths import similar
from falw_cli.data.labels import id_texts, shown
from falw_cli.data.list_formats import Known
from falw_cli.data.listing import Table
from falw_cli.data.text import Lines, check_header
from falw_cli.errors import RequestError
from falw_cli.runtime.extras import need

HINT = "give a CSV or Parquet file with a column id and one row per sample"


def read_table(file: Path, known: Known) -> Table:
    """Read a metadata file.

    Args: known, IDs of the data.

    Raises:
        RequestError: it cannot be read, has no column `id`, or an ID occurs twice.
    """
    try:
        parquet = file.suffix.lower() in (".parquet", ".pq")
        table = parquet_table(file) if parquet else _csv_table(file)
    except OSError as error:
        raise RequestError(
            f"{file} cannot be read: {error.strerror}", similar(file) + HINT
        ) from error
    table = replace(table, ids=[known.match(name) for name in table.ids])
    if len(set(table.ids)) != len(table.ids):
        seen: set[str] = set()
        twice = next(i for i in table.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise RequestError(f"{file}: ID {twice!r} occurs twice", HINT)
    return table


def _csv_table(file: Path) -> Table:
    with file.open("rb") as stream:
        reader = csv.DictReader(Lines(stream, str(file)), strict=True)
        try:
            reader.fieldnames = _header(reader.fieldnames or [], f"{file} line 1")
            names = [name for name in reader.fieldnames if name != "id"]
            ids: list[str] = []
            columns: dict[str, list[object]] = {name: [] for name in names}
            for row in reader:
                if len(row) > len(names) + 1:  # DictReader puts what is too much under None
                    raise RequestError(
                        f"{file} line {reader.line_num}: more than {len(names) + 1} cells",
                        'put a value that contains a comma in quotes: "Doe, Jane"',
                    )
                if not row["id"]:
                    raise RequestError(f"{file} line {reader.line_num} has no ID", HINT)
                ids.append(row["id"])
                for name in names:
                    columns[name].append(row[name])
        except csv.Error as error:
            raise RequestError(
                f"{file} line {reader.line_num} is not CSV: {error}", "save it again as CSV"
            ) from error
    return Table(ids, columns)


def _header(cells: Sequence[str], place: str) -> list[str]:
    """Return the names of columns without surrounding spaces; `ID` is `id` if no other one is."""
    names = [name.strip() for name in cells]
    check_header(names, place)
    alike = [name for name in names if name.lower() == "id"]
    if "id" not in names and len(alike) == 1:
        names[names.index(alike[0])] = "id"
    if "id" in names:
        return names
    apart = any(sign in name for name in names for sign in ";\t")
    raise RequestError(
        f"{place}: no column id among {shown([repr(name) for name in names])}",
        "separate columns by commas" if apart else HINT,
    )


def parquet_table(file: Path) -> Table:
    """Return the columns of a Parquet file that hold plain values."""
    library = need("pyarrow.parquet", "data", str(file))
    arrow = need("pyarrow", "data", str(file))
    try:
        found = library.read_table(str(file), columns=plain_columns(library.read_schema(file)))
        columns = {name: found.column(name).to_pylist() for name in found.column_names}
    except (arrow.ArrowException, OSError, ValueError) as error:  # text that is not UTF-8, too
        reason = str(error).partition("\n")[0]
        raise RequestError(f"{file} cannot be read as Parquet: {reason}", HINT) from error
    if "id" not in found.column_names:
        raise RequestError(f"{file}: no column id", HINT)
    return Table(id_texts(columns.pop("id"), str(file)), columns)


def plain_columns(schema: Sequence[object]) -> list[str]:
    """Return the names of a Parquet schema's columns that are neither binary nor nested."""
    types = need("pyarrow.types", "data", "Parquet")
    strange = (types.is_nested, types.is_binary, types.is_large_binary)
    return [
        field.name  # type: ignore[attr-defined]
        for field in schema
        if not any(check(field.type) for check in strange)  # type: ignore[attr-defined]
    ]
