"""Columns of a data source, by which samples are selected and kept together."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from falw_cli.data.labels import is_missing, resolve_names, shown
from falw_cli.data.list_formats import Known
from falw_cli.data.listing import Listing, Rows, Table
from falw_cli.data.lookalike import describe_difference
from falw_cli.data.metadata_file import HINT, read_table
from falw_cli.errors import RequestError, nearest, unknown_name
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress

WHOLE = re.compile(r"^(-?\d+)\.0*$")
"""A whole number with a decimal point."""


@dataclass(frozen=True)
class Columns:
    """Values of each column as text, in the order of a listing; a missing value is empty.

    `unusable` says for other entries of the source, by name, why they are no columns.
    """

    spec: str
    values: Mapping[str, Sequence[str]]
    unusable: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Sequence[str]:
        """Return a column.

        Raises:
            RequestError: there is no such column.
        """
        if name in self.unusable:
            raise RequestError(
                self.unusable[name], "save it in that form, or choose another column"
            )
        if not self.values:
            raise RequestError(
                f"{self.spec!r} has no columns",
                "give a table: --metadata FILE, or --heldout-metadata FILE for held-out data",
            )
        if (known := self._resolve(name)) not in self.values:
            raise unknown_name("column", name, self.values)
        return self.values[known]

    def matching(self, conditions: Sequence[str], progress: Progress) -> Rows:
        """Return the rows that fulfil conditions COLUMN=VALUE, sorted.

        Conditions on the same column mean any of the values; different columns must all match. A
        value that no sample has is an error, or a warning if another value of its column matches.

        Raises:
            RequestError: no condition, an unknown column, or no matching sample.
        """
        wanted: dict[str, set[str]] = {}
        for condition in conditions:
            name, value = self._parts(condition)
            wanted.setdefault(name, set()).add(as_text(value))
        matches = np.ones(max(map(len, self.values.values()), default=0), dtype=bool)
        for name, values in wanted.items():
            column = self.column(name)
            for value in sorted(values - set(column)):
                match = nearest(value, sorted(set(column))[:10_000])
                if values.isdisjoint(column):
                    raise RequestError(
                        f"no sample of {self.spec!r} has {name}={value}",
                        f"did you mean {name}={match}?"
                        if match
                        else "`falw inspect` names columns",
                    )
                progress.warn(f"no sample of {self.spec!r} has {name}={value}")
            matches &= np.array([one in values for one in column])
        if not matches.any():
            raise RequestError(
                f"no sample of {self.spec!r} matches {', '.join(conditions)}",
                "different columns must all match: leave one out",
            )
        return np.flatnonzero(matches)

    def _parts(self, condition: str) -> tuple[str, str]:
        """Return the column and the value of a condition; a column's name may hold a `=`."""
        for place in reversed([at for at, sign in enumerate(condition) if sign == "="]):
            if (name := self._resolve(condition[:place])) in self.values:
                return name, condition[place + 1 :]
        name, sign, value = condition.partition("=")
        if not sign or not name.strip():
            raise RequestError(
                f"--where {condition!r} is not COLUMN=VALUE", "write it as: --where person=17"
            )
        return name.strip(), value

    def _resolve(self, name: str) -> str:
        """Return the only column that differs by spaces around it or by its Unicode form."""
        alike = [one for one in self.values if _plain(one) == _plain(name)]
        return alike[0] if len(alike) == 1 and name not in self.values else name


def columns_of(
    listing: Listing, metadata: str | None, progress: Progress, wanted: str | None = None
) -> Columns:
    """Return the columns of a source, and those of a metadata file, which have precedence.

    Args:
        listing: the samples.
        metadata: a CSV or Parquet file with a column `id`, or None.
        progress: receives a warning about samples that the file does not have.
        wanted: the only column that is needed: a file without it needs no warning.
    """
    own = listing.table() if listing.table else Table((), {})
    values = _aligned(listing, own, {}) if own.ids else {}
    if metadata is not None:
        known = Known(listing.ids)
        table = read_table(Path(metadata), known)
        for remark in known.remarks(metadata):
            progress.warn(remark)
        missing = len(set(listing.ids) - set(table.ids))
        if missing == len(listing.ids):
            raise _no_match(metadata, table.ids, listing)
        needed = wanted is None or _plain(wanted) in map(_plain, table.columns)
        if missing and needed:
            lacking = counted(missing, "sample")
            progress.warn(f"{lacking} of {listing.spec!r} without a row in {metadata}")
        values |= _aligned(listing, table, values)
    unusable = {name: why for name, why in own.unusable.items() if name not in values}
    return Columns(listing.spec, values, unusable)


def _no_match(metadata: str, ids: Sequence[str], listing: Listing) -> RequestError:
    """Return the error for a file without an ID of the data; it shows an ID of each."""
    if not ids:
        return RequestError(f"{metadata} has no row", HINT)
    advice = describe_difference(ids[0], listing.ids).replace("he list", "he file") or HINT
    return RequestError(
        f"{metadata} has no ID of {listing.spec!r}: it has {ids[0]!r}, the data has "
        f"{listing.ids[0]!r}",
        advice.removesuffix("; "),
    )


def groups_of(
    listing: Listing, group: str, metadata: str | None, progress: Progress
) -> tuple[str, ...]:
    """Return a key for each sample that its group shares; without a group, its own.

    Raises:
        RequestError: the source and the metadata file lack the column `group`.
    """
    values = columns_of(listing, metadata, progress, group).column(group)
    # An ID holds no NUL, so a sample without a group shares its key with no other.
    pairs = zip(values, listing.ids, strict=True)
    return tuple(f"{group}\0{value}" if value else name for value, name in pairs)


def right_labels(
    listing: Listing, classes: Sequence[str], column: str, metadata: str | None, progress: Progress
) -> Rows:
    """Return the right class of each sample of a listing, [N].

    Args:
        listing: the listed samples.
        classes: class names in the order of the model's outputs.
        column: where the right labels are.
        metadata, progress: see `columns_of`.

    Raises:
        RequestError: there is no such column, or it has no class of the model for some samples.
    """
    forms = [as_text(name) for name in classes]  # as the values of a column are
    times = Counter(forms)
    place = {form: index for index, form in enumerate(forms) if times[form] == 1}
    if listing.numbered:
        place |= {str(index): index for index in range(len(classes))}
    values = columns_of(listing, metadata, progress, column).column(column)
    alike: dict[str, int] = {}
    for value in sorted(set(values) - set(place) - set(forms)):
        alike |= resolve_names([value], forms)[0]
    if alike:
        pairs = [f"{value!r} as {classes[index]!r}" for value, index in alike.items()]
        progress.warn(f"column {column!r} is matched without regard to case: {shown(pairs)}")
    place |= alike
    strange = [value for value in values if value not in place]
    if strange:
        raise RequestError(
            f"{len(strange)} of {len(values)} listed samples have no class of the model in the "
            f"column {column!r}: the first has {strange[0]!r}",
            f"the model has {', '.join(list(classes)[:10])}" + (" …" if len(classes) > 10 else ""),
        )
    return np.array([place[value] for value in values], dtype=np.int64)


def _aligned(
    listing: Listing, table: Table, own: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the columns of a table in the order of a listing.

    Args: own, the values of samples that the table does not have, where they are known.
    """
    place = {name: row for row, name in enumerate(table.ids)}
    rows = [place.get(name) for name in listing.ids]
    return {
        name: [
            as_text(column[row]) if row is not None else own[name][index] if name in own else ""
            for index, row in enumerate(rows)
        ]
        for name, column in table.columns.items()
    }


def _plain(text: str) -> str:
    """Return a text without surrounding spaces, and composed: macOS writes é as two characters."""
    return unicodedata.normalize("NFC", text.strip())


def as_text(value: object) -> str:
    """Return a value as `--where` names it: a whole number without a fraction, true or false."""
    if is_missing(value):
        return ""
    text = _plain(str(value))
    if text.lower() in ("true", "false"):  # pandas writes True to a CSV, Excel TRUE
        return text.lower()
    # In a CSV, pandas writes the integers of a column with gaps as 17.0.
    return WHOLE.sub(r"\1", text)
