"""Tables with a column of encoded images and a column of labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import (
    Encoded,
    Listing,
    Spec,
    StoredImages,
    Table,
    UnreadableError,
    bare_numbers,
    files_below,
    mark_of,
    number,
)
from falw_cli.errors import RequestError

Rows = npt.NDArray[np.int64]
HINT = "provide columns image (bytes, or bytes and path), label and, optionally, id"
IMAGE, LABEL = ("image", "img"), ("label", "labels", "fine_label")


@dataclass(frozen=True)
class Cells(StoredImages):
    """Images in a column of a table, read as they are needed.

    Attributes:
        table: `table[row]` is the column's value in that row.
        rows: the rows of the table that hold these images, int64 [N].
        place, pattern: the files that hold the table, for `files_below`.
    """

    table: Any
    rows: Rows
    place: Path
    pattern: str

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, row: int) -> Encoded:
        cell = self.table[int(self.rows[row])]
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            folder = files_below(self.place, self.pattern)[0].parent
            raise UnreadableError(
                f"row {int(self.rows[row])} of {folder} holds no image bytes",
                "save it with image bytes in the column, e.g. by `embed_external_files`",
            )
        return content

    def marks(self) -> Iterator[str]:
        files = files_below(self.place, self.pattern)
        whole = hashlib.sha256("\n".join(map(mark_of, files)).encode()).hexdigest()
        return (f"{whole}\0{row}" for row in self.rows.tolist())

    def keep(self, rows: Rows) -> Cells:
        return replace(self, rows=self.rows[rows])


def image_and_label(columns: list[str], spec: Spec) -> tuple[str, str]:
    """Return the names of the columns of images and of labels.

    Raises:
        RequestError: one of them is missing.
    """
    image, label = (next((n for n in names if n in columns), None) for names in (IMAGE, LABEL))
    if image is None or label is None:
        raise RequestError(f"{spec.text!r} has the columns {', '.join(columns[:10])}", HINT)
    return image, label


def column_listing(
    spec: Spec,
    cells: Cells,
    ids: list[Any] | None,
    labels: list[Any],
    names: object,
    further: Callable[[], dict[str, Sequence[object]]],
) -> Listing:
    """Return the listing of a table: in the order of the IDs if it has any, else of its rows.

    Args: further, reads the other columns, in the order of the rows.
    """
    named = [str(i) for i in (ids if ids is not None else range(len(labels)))]
    if all(isinstance(label, int) for label in labels):
        index, classes, numbered = bare_numbers(np.array(labels, dtype=np.int64), spec.text)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            if len(classes) > len(names):
                raise RequestError(f"{spec.text!r}: a label has no name", HINT)
            classes, numbered = tuple(names), False
    else:
        index, classes, numbered = number([str(label) for label in labels], spec.text)

    def table() -> Table:
        named_labels = [classes[number] for number in index.tolist()]
        return Table(named, {"label": named_labels, **further()})

    rows = np.arange(len(named))
    if ids is not None:
        rows = np.array(sorted(rows, key=lambda row: named[row]), dtype=np.int64)
    return Listing(
        spec.text, spec.identity, tuple(named[row] for row in rows), index[rows], classes, numbered,
        cells.keep(rows), table=table,
    )  # fmt: skip
