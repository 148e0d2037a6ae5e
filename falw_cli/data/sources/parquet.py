"""`parquet:FILE` or `parquet:DIR`: a column of encoded images and a column of labels."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from falw_cli.data.columns import HINT, Cells, column_listing, image_and_label
from falw_cli.data.labels import shown
from falw_cli.data.listing import Listing, Source, Spec
from falw_cli.data.metadata_file import plain_columns
from falw_cli.data.shards import files_of
from falw_cli.errors import RequestError
from falw_cli.runtime.extras import need

SUFFIXES = frozenset({".parquet", ".pq"})
SAME = "write the files again with the same columns, or name one of them"


class ParquetColumn:
    """A column of Parquet files; at most four row groups are in memory."""

    def __init__(self, files: list[Path], column: str) -> None:
        parquet = need("pyarrow.parquet", "data", str(files[0]))
        self._open = [parquet.ParquetFile(file) for file in files]
        self._column = column
        opened = enumerate(self._open)
        self._groups = [(n, g) for n, one in opened for g in range(one.num_row_groups)]
        sizes = [self._open[n].metadata.row_group(g).num_rows for n, g in self._groups]
        self._ends = np.cumsum(sizes)
        self._lock = threading.Lock()
        self._read = lru_cache(maxsize=4)(self._group)

    def _group(self, index: int) -> Any:
        number, group = self._groups[index]
        return self._open[number].read_row_group(group, columns=[self._column]).column(0)

    def __getitem__(self, row: int) -> Any:
        """Return the value in a row; rows are counted over all files."""
        index = int(np.searchsorted(self._ends, row, side="right"))
        with self._lock:
            column = self._read(index)
        return column[row - (int(self._ends[index - 1]) if index else 0)].as_py()


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a file, or of the files in a folder in the order of their names."""
    spec = replace(spec, part=spec.part.casefold())  # as `files_of` names the parts
    place = spec.location
    part = files_of(spec, SUFFIXES, "Parquet")
    files = part.files
    library = need("pyarrow.parquet", "data", spec.text)
    arrow = need("pyarrow", "data", spec.text)

    @contextmanager
    def readable() -> Iterator[None]:
        try:
            yield
        except (arrow.ArrowException, OSError, ValueError) as error:  # text that is not UTF-8, too
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"{spec.text!r} cannot be read as Parquet: {reason}", HINT
            ) from error

    def read(columns: Callable[[Any], list[str]]) -> list[Any]:
        return [
            library.read_table(str(file), columns=columns(schema), partitioning=None)
            for file, schema in zip(files, schemas, strict=True)
        ]

    with readable():
        schemas = [library.read_schema(str(file)) for file in files]
        image, label, notes = image_and_label(schemas[0].names, spec)
        _check_columns(spec, files, [schema.names for schema in schemas], (image, label, "id"))
        wanted = [label, *(["id"] if "id" in schemas[0].names else [])]
        tables = read(lambda schema: wanted)
        table = ParquetColumn(files, image)
        has_ids = "id" in wanted
        ids = [one for some in tables if has_ids for one in some.column("id").to_pylist()]
        values = [some.column(label).to_pylist() for some in tables]
    labels = _merged(spec, files, values, [_names(schema, label) for schema in schemas])
    cells = Cells(table, np.arange(len(labels.values)), place, lambda: files)

    def further() -> dict[str, Sequence[object]]:
        with readable():
            tables = read(lambda schema: sorted({*plain_columns(schema)} - {image, label, "id"}))
            return {
                name: [
                    value for some in tables for value in
                    (some[name].to_pylist() if name in some.column_names else [None] * len(some))
                ]
                for name in sorted({name for some in tables for name in some.column_names})
            }  # fmt: skip

    notes = (*part.notes, *notes, *labels.notes, *_category_notes(tables[0], label))
    own = ids if has_ids else None
    listed = column_listing(spec, cells, own, labels.values, labels.names, further, notes)
    return replace(listed, parts=part.parts)


class Merged(NamedTuple):
    """The labels of all files, and the names of their classes."""

    values: list[Any]
    names: list[str] | None
    notes: tuple[str, ...] = ()


def _check_columns(
    spec: Spec, files: list[Path], columns: list[list[str]], wanted: Sequence[str]
) -> None:
    """Refuse files of which some lack a column that is read.

    Raises:
        RequestError: a file has one of the `wanted` columns, and another one has not.
    """
    for file, names in zip(files, columns, strict=True):
        for name in wanted:
            if (name in names) != (name in columns[0]):
                has, lacks = (file, files[0]) if name in names else (files[0], file)
                raise RequestError(
                    f"{spec.text!r}: {has} has a column {name!r}, and {lacks} has none", SAME
                )


def _merged(
    spec: Spec, files: list[Path], columns: list[list[Any]], names: list[list[str] | None]
) -> Merged:
    """Return the labels of all files; each file's numbers are read with its own names.

    Raises:
        RequestError: some labels are texts or have names, and those of another file do not.
    """
    for what, whose in (
        ("text", [_is_text(column) for column in columns]),
        ("numbers with names", [one is not None for one in names]),
    ):
        known = [row for row, one in enumerate(whose) if one is not None]
        other = next((row for row in known if whose[row] != whose[known[0]]), None)
        if other is not None:
            some, rest = sorted((other, known[0]), key=lambda row: not whose[row])
            raise RequestError(
                f"{spec.text!r}: the labels of {files[some]} are {what}, those of {files[rest]} "
                "are not",
                SAME,
            )
    other = next((row for row, one in enumerate(names) if one != names[0]), None)
    values = [value for column in columns for value in column]
    if other is None:
        return Merged(values, names[0])
    classes = list(dict.fromkeys(name for some in names for name in some or ()))
    place = {name: index for index, name in enumerate(classes)}
    values = []
    for file, column, named in zip(files, columns, names, strict=True):
        own = named or []
        if any(value is not None and value not in range(len(own)) for value in column):
            raise RequestError(f"{spec.text!r}: a label of {file} has no name", HINT)
        values += [None if value is None else place[own[int(value)]] for value in column]
    note = f"{files[0].name} and {files[other].name} name their classes differently"
    return Merged(values, classes, (f"{note}: the labels of each file are read with its names",))


def _is_text(column: list[Any]) -> bool | None:
    """Return whether labels are texts, or None if there are none."""
    first = next((value for value in column if value is not None), None)
    return None if first is None else isinstance(first, str | bytes)


def _names(schema: Any, column: str) -> list[str] | None:
    """Return the names of a column's classes, in order, if the file has them."""
    names = _features(schema.metadata or {}).get(column, {}).get("names")
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if known else None


def _category_notes(table: Any, column: str) -> list[str]:
    """Return a note if a column of pandas or Arrow has categories in another order than by name."""
    kind, metadata = table.schema.field(column).type, table.schema.metadata or {}
    chunks = table.column(column).chunks
    if not hasattr(kind, "ordered") or not chunks or not (kind.ordered or b"pandas" in metadata):
        return []
    names = chunks[0].dictionary.to_pylist()
    if not all(isinstance(name, str) for name in names) or names == sorted(names):
        return []
    note = f"the column {column!r} has its categories in the order {shown(names)}, and not by name"
    return [f"{note}: if the model was trained on their codes, name them so by --classes FILE"]


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return Hugging Face's description of each column, or {} without one."""
    try:
        said = json.loads(metadata.get(b"huggingface", b"{}"))
        found = said.get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    known = found.items() if isinstance(found, dict) else ()
    return {name: about for name, about in known if isinstance(about, dict)}


source = Source(listing, parts="any", columns=True)
