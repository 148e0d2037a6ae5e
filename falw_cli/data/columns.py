"""Columns of encoded images and labels: Parquet files, and datasets that Hugging Face's saved."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import Listing, Spec, check_numbers, digit_names, mark_of, number
from falw_cli.errors import RequestError
from falw_cli.runtime.extras import need

Rows = npt.NDArray[np.int64]
HINT = "it needs a column image (bytes, or bytes and path) and a column label, and may have id"

SAVE_IT = "save it with Dataset.save_to_disk, or name one dataset's folder in the local cache"


@dataclass(frozen=True)
class Cells:
    """Images in a table's column, read as they are needed.

    Attributes:
        table: a `datasets.Dataset`, or a `Parquet`: `table[row]` is what the column holds there.
        files: what the table lies in, for `mark`.
        rows: which of the table's rows these are, int64 [N].
    """

    table: Any
    files: tuple[Path, ...]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, row: int) -> bytes:
        """See `Stored`.

        Raises:
            RequestError: the cell holds no bytes.
        """
        cell = self.table[int(self.rows[row])]
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise RequestError(
                f"row {int(self.rows[row])} of {self.files[0].parent} holds no image's bytes",
                "save it with its images: `embed_external_files`, or bytes in the column",
            )
        return content

    def marks(self) -> Iterator[str]:
        """See `Stored`."""
        whole = hashlib.sha256("\n".join(map(mark_of, self.files)).encode()).hexdigest()
        return (f"{whole}\0{row}" for row in self.rows.tolist())

    def keep(self, rows: Rows) -> Cells:
        """See `Stored`."""
        return Cells(self.table, self.files, self.rows[rows])


class Parquet:
    """A column of Parquet files, a group of rows in memory at a time."""

    def __init__(self, files: tuple[Path, ...], column: str) -> None:
        parquet = need("pyarrow.parquet", "data", str(files[0]))
        self._open = [parquet.ParquetFile(file) for file in files]
        self._column = column
        self._groups = [
            (n, g) for n, one in enumerate(self._open) for g in range(one.num_row_groups)
        ]
        sizes = [self._open[n].metadata.row_group(g).num_rows for n, g in self._groups]
        self._ends = np.cumsum(sizes)
        self._lock = threading.Lock()
        self._read = lru_cache(maxsize=4)(self._group)

    def _group(self, index: int) -> Any:
        number, group = self._groups[index]
        return self._open[number].read_row_group(group, columns=[self._column]).column(0)

    def __getitem__(self, row: int) -> Any:
        """What the column holds in a row of all files together."""
        index = int(np.searchsorted(self._ends, row, side="right"))
        with self._lock:
            column = self._read(index)
        return column[row - (int(self._ends[index - 1]) if index else 0)].as_py()


def parquet(spec: Spec, allow_outside: bool) -> Listing:
    """`parquet:FILE` or a folder of them, in the order of their names."""
    place = spec.location
    files = tuple(sorted(place.rglob("*.parquet"))) if place.is_dir() else (place,)
    if not files or not files[0].is_file():
        raise RequestError(f"{spec.text!r}: no Parquet file at {place}", "check the path")
    library = need("pyarrow.parquet", "data", spec.text)
    arrow = need("pyarrow", "data", spec.text)
    try:
        schema = library.read_schema(files[0])
        image = _column(schema.names, ("image", "img"), spec)
        label = _column(schema.names, ("label", "labels", "fine_label"), spec)
        wanted = [label, *(["id"] if "id" in schema.names else [])]
        found = library.read_table([str(file) for file in files], columns=wanted)
        table = Parquet(files, image)
    except (arrow.ArrowException, OSError) as error:
        told = str(error).partition("\n")[0]
        raise RequestError(f"{spec.text!r} cannot be read as Parquet: {told}", HINT) from error
    names = _features(schema.metadata or {}).get(label, {}).get("names")
    ids = found.column("id").to_pylist() if "id" in wanted else None
    return _listing(spec, Cells(table, files, np.arange(found.num_rows)), ids,
                    found.column(label).to_pylist(), names)  # fmt: skip


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What Hugging Face's datasets say of their columns in a Parquet file."""
    try:
        said = json.loads(metadata.get(b"huggingface", b"{}"))
        found = said.get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    return (
        {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
    )


def hf(spec: Spec, allow_outside: bool) -> Listing:
    """`hf:DIR`: what `save_to_disk` wrote, or `load_dataset` left in its cache; there the part."""
    if not spec.location.is_dir():
        raise RequestError(f"{spec.text!r}: no folder {spec.location}", "check the path")
    library = need("datasets", "data", spec.text)
    try:
        saved = any(
            (spec.location / name).is_file() for name in ("state.json", "dataset_dict.json")
        )
        found = library.load_from_disk(str(spec.location)) if saved else _cached(spec, library)
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = str(error).partition("\n")[0]
        raise RequestError(f"{spec.text!r} cannot be loaded: {told}", SAVE_IT) from error
    if isinstance(found, library.DatasetDict):
        if spec.part not in found:
            raise RequestError(
                f"{spec.text!r} has no part {spec.part!r}", f"it has {', '.join(found)}"
            )
        found = found[spec.part]
    image = _column(found.column_names, ("image", "img"), spec)
    label = _column(found.column_names, ("label", "labels", "fine_label"), spec)
    plain = found.cast_column(image, library.Image(decode=False))
    names = getattr(found.features[label], "names", None)
    ids = found["id"][:] if "id" in found.column_names else None
    files = tuple(sorted(spec.location.rglob("*.arrow")))
    cells = Cells(plain[image], files, np.arange(len(found)))
    return _listing(spec, cells, ids, list(found[label][:]), names)


def _cached(spec: Spec, library: ModuleType) -> Any:
    """The part in a folder below `~/.cache/huggingface/datasets`, in one file or several."""
    infos = sorted(spec.location.rglob("dataset_info.json"))
    if len(infos) != 1:
        raise RequestError(f"{spec.text!r} holds {len(infos) or 'no'} datasets", SAVE_IT)
    names = re.compile(rf".+-{spec.part}(-\d+-of-\d+)?\.arrow")
    files = [file for file in sorted(infos[0].parent.iterdir()) if names.fullmatch(file.name)]
    if not files:
        raise RequestError(f"{spec.text!r} has no part {spec.part!r}", SAVE_IT)
    return library.concatenate_datasets([library.Dataset.from_file(str(file)) for file in files])


def _column(there: list[str], known: tuple[str, ...], spec: Spec) -> str:
    name = next((name for name in known if name in there), None)
    if name is None:
        raise RequestError(f"{spec.text!r} has the columns {', '.join(there[:10])}", HINT)
    return name


def _listing(
    spec: Spec, cells: Cells, ids: list[Any] | None, labels: list[Any], names: object
) -> Listing:
    """Rows in the order of their IDs where they have some, else as they stand."""
    named = [str(i) for i in (ids if ids is not None else range(len(labels)))]
    if all(isinstance(label, int) for label in labels):
        index = check_numbers(np.array(labels, dtype=np.int64), spec.text)
        known = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if known and len(index) and index.max() >= len(names):  # type: ignore[arg-type]
            raise RequestError(f"{spec.text!r}: a label has no name", HINT)
        classes = tuple(names) if known else digit_names(index)  # type: ignore[arg-type]
        numbered = not known
    else:
        index, classes, numbered = number([str(label) for label in labels], spec.text)
    rows = np.arange(len(named))
    if ids is not None:
        rows = np.array(sorted(rows, key=lambda row: named[row]), dtype=np.int64)
    return Listing(
        spec.text, spec.identity, tuple(named[row] for row in rows), index[rows], classes, numbered,
        cells.keep(rows),
    )  # fmt: skip
