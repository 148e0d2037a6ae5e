"""Tables with a column of encoded images and a column of labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from falw_cli.data.labels import (
    Labels,
    bare_numbers,
    id_texts,
    integers,
    number,
    refuse_missing,
    shown,
    text_of,
    whole_numbers,
)
from falw_cli.data.listing import (
    Encoded,
    Listing,
    Spec,
    StoredImages,
    Table,
    UnreadableError,
    mark_of,
)
from falw_cli.errors import FalwError, RequestError

Rows = npt.NDArray[np.int64]
HINT = "provide columns image (bytes, or bytes and path), label and, optionally, id"
IMAGE, LABEL = ("image", "img"), ("label", "labels", "fine_label")
SPLIT = "split"
"""Name of the column of a CSV that says which part a row belongs to, in any case."""
LABEL_LIKE = re.compile(r"(^|_)(labels?|class|target)(_|$)")
"""Names of columns that may hold labels."""


@dataclass(frozen=True)
class Cells(StoredImages):
    """Images in a column of a table, read as they are needed.

    Attributes:
        table: `table[row]` is the column's value in that row.
        rows: the rows of the table that hold these images, int64 [N].
        place: where the table is, for messages.
        files: returns the files that hold the table.
    """

    table: Any
    rows: Rows
    place: Path
    files: Callable[[], list[Path]]

    def __len__(self) -> int:
        return len(self.rows)

    def value(self, row: int) -> Any:
        """Return the column's value.

        Raises:
            UnreadableError: the library cannot read it.
        """
        try:
            return self.table[int(self.rows[row])]
        except (FalwError, MemoryError):
            raise
        except Exception as error:  # libraries and decoders raise many kinds of errors
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UnreadableError(
                f"row {int(self.rows[row])} of {self.place} cannot be read: {reason}",
                "fix or remove it, or skip such images with --skip-unreadable",
            ) from error

    def image(self, row: int) -> Encoded:
        cell = self.value(row)
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise UnreadableError(
                f"row {int(self.rows[row])} of {self.place} holds no image bytes",
                "save it with image bytes in the column, e.g. by `embed_external_files`",
            )
        return content

    def marks(self) -> Iterator[str]:
        whole = hashlib.sha256("\n".join(map(mark_of, self.files())).encode()).hexdigest()
        return (f"{whole}\0{row}" for row in self.rows.tolist())

    def keep(self, rows: Rows) -> Cells:
        return replace(self, rows=self.rows[rows])


class Chosen(NamedTuple):
    """The columns of images and of labels, and what was guessed."""

    image: str
    label: str
    notes: tuple[str, ...] = ()


def image_and_label(columns: Sequence[str], spec: Spec) -> Chosen:
    """Return the names of the columns of images and of labels.

    Raises:
        RequestError: one of them is missing.
    """
    wanted = LABEL if spec.label_column is None else (spec.label_column,)
    image = next((name for name in IMAGE if name in columns), None)
    label = next((name for name in wanted if name in columns), None)
    if image is None or label is None:
        missing = "column of images" if image is None else f"column {' or '.join(wanted)}"
        raise RequestError(
            f"{spec.text!r} has no {missing}: its columns are {', '.join(columns[:10])}",
            HINT if image is None else "name the column of labels: --label-column NAME",
        )
    notes = label_notes(columns, label, spec)
    if split := [name for name in columns if name.casefold() == SPLIT]:
        notes = (f"the column {split[0]!r} is not used: rows of all its values are", *notes)
    if other := [one for one in IMAGE if one in columns and one != image]:
        note = f"images are taken from the column {image!r}; there is also {shown(other)}"
        notes = (f"{note}, which would be used if the file had no {image!r}", *notes)
    return Chosen(image, label, notes)


def label_notes(columns: Iterable[str], label: str, spec: Spec) -> tuple[str, ...]:
    """Return a note on other columns that may hold labels, unless the user named `label`."""
    others = [one for one in columns if one != label and LABEL_LIKE.search(one)]
    if spec.label_column is not None or not others:
        return ()
    note = f"labels are taken from the column {label!r}; there is also {shown(others)}"
    return (f"{note}: choose with --label-column NAME",)


def column_listing(
    spec: Spec,
    cells: Cells,
    ids: list[Any] | None,
    labels: list[Any],
    names: object,
    further: Callable[[], dict[str, Sequence[object]]],
    notes: tuple[str, ...] = (),
) -> Listing:
    """Return the listing of a table: in the order of the IDs if it has any, else of its rows.

    Args:
        further: reads the other columns, in the order of the rows.
        notes: what was guessed before.
    """
    named = id_texts(range(len(labels)) if ids is None else ids, spec.text)
    found = _labels(spec, labels, names)
    index, classes = found.indices, found.classes

    def table() -> Table:
        named_labels = [classes[number] for number in index.tolist()]
        return Table(named, {"label": named_labels, **further()})

    rows = np.arange(len(named))
    if ids is not None:
        rows = np.array(sorted(rows, key=lambda row: named[row]), dtype=np.int64)
    return Listing(
        spec.text, spec.identity, tuple(named[row] for row in rows), index[rows], classes,
        found.numbered, cells.keep(rows), table=table, notes=(*notes, *found.notes),
        by_row=ids is None,
    )  # fmt: skip


def _labels(spec: Spec, labels: list[Any], names: object) -> Labels:
    """Return the labels of a column; `names` may be the names of its classes, in order.

    Raises:
        RequestError: a label is missing, a list, or has no name.
    """
    refuse_missing([row for row, one in enumerate(labels) if one is None], len(labels), spec.text)
    if any(isinstance(one, list | dict) for one in labels):
        raise RequestError(
            f"{spec.text!r}: labels are lists: each sample must have one class",
            "name another column: --label-column NAME",
        )
    if all(isinstance(label, int) for label in labels):
        found = bare_numbers(integers(labels, spec.text), spec.text)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            if len(found.classes) > len(names):
                raise RequestError(f"{spec.text!r}: a label has no name", HINT)
            return Labels(found.indices, tuple(names), False)
        return found
    if all(isinstance(label, int | float) for label in labels):
        return whole_numbers(np.array(labels, dtype=np.float64), spec.text)
    return number([text_of(label) for label in labels], spec.text)
