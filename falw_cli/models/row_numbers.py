"""Row numbers as IDs: they name other samples once rows of the data were removed or moved."""

from __future__ import annotations

import hashlib

from falw_cli.data.listing import Listing
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.earlier import Earlier
from falw_cli.runtime.progress import Progress


def mark_of_rows(listing: Listing, count: int | None = None) -> str | None:
    """Return the number of rows and a digest of their labels; None if IDs are no row numbers.

    Args:
        listing: the training data.
        count: how many rows to use, from the first; default: all.
    """
    if not listing.by_row:
        return None
    labels = [listing.classes[label] for label in listing.labels[:count].tolist()]
    return f"{len(labels)}:{hashlib.sha256(chr(10).join(labels).encode()).hexdigest()}"


def warn_of_moved_rows(
    source: Checkpoint, listing: Listing, earlier: Earlier, progress: Progress
) -> None:
    """Warn if earlier requests name row numbers of other data. Rows may be added at the end."""
    chain = source.metadata.chain if source.metadata else ()
    marks = {one.rows for one in chain if one.rows}
    moved = [mark for mark in marks if mark_of_rows(listing, _count(mark)) not in (None, mark)]
    if moved and any(one.rows is not None and len(one.rows) for one in earlier.requests):
        progress.warn(
            f"IDs of {listing.spec!r} are row numbers, and rows were removed, moved or relabelled "
            "since an earlier request: earlier lists and the ledger may name other samples now, "
            "and theirs may count as retain samples; restore the rows, and give the data IDs"
        )


def _count(mark: str) -> int:
    count = mark.partition(":")[0]
    return int(count[:18]) if count.isdecimal() else 0
