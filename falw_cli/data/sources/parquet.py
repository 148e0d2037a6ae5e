"""`parquet:FILE` or `parquet:DIR`: a column of encoded images and a column of labels."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from falw_cli.data.columns import HINT, Cells, column_listing, image_and_label
from falw_cli.data.listing import Listing, Source, Spec
from falw_cli.data.metadata import plain_columns
from falw_cli.data.shards import files_of
from falw_cli.errors import RequestError
from falw_cli.runtime.extras import need

SUFFIXES = frozenset({".parquet", ".pq"})


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

    with readable():
        schema = library.read_schema(files[0])
        image, label, notes = image_and_label(schema.names, spec)
        wanted = [label, *(["id"] if "id" in schema.names else [])]
        found = library.read_table([str(file) for file in files], columns=wanted)
        table = ParquetColumn(files, image)
        ids = found.column("id").to_pylist() if "id" in wanted else None
        values = found.column(label).to_pylist()
    names = _features(schema.metadata or {}).get(label, {}).get("names")
    cells = Cells(table, np.arange(found.num_rows), place, lambda: files)

    def further() -> dict[str, Sequence[object]]:
        other = [one for one in plain_columns(schema) if one not in (image, label, "id")]
        with readable():
            read = library.read_table([str(file) for file in files], columns=other)
            return {name: read.column(name).to_pylist() for name in other}

    notes = (*part.notes, *notes)
    listed = column_listing(spec, cells, ids, values, names, further, notes)
    return replace(listed, parts=part.parts)


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
