"""Check that datasets in memory share no image, as the command does for its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted

FIRST = 5
"""Number of rows that a message names."""


def refuse_overlap(
    data: Sequence[bytes], forget: Sequence[int], unseen: Mapping[str, Sequence[bytes]]
) -> None:
    """Refuse copies of forget samples among the retain samples, and images in two datasets.

    Args:
        data: digest of each training image; empty for inputs that are no images, which may be equal
            by chance.
        forget: rows of the forget samples.
        unseen: digests of the other datasets by the name of their argument.

    Raises:
        RequestError: the model would go on to know listed images, or samples that it was trained
            on, or that guide it, would stand for unseen ones.
    """
    gone = {data[row] for row in forget} - {b""}
    listed = set(forget)
    if copies := [row for row, one in enumerate(data) if one in gone and row not in listed]:
        rows = counted(len(copies), "row of data has", "rows of data have")
        raise RequestError(
            f"{rows} the same pixels as rows in forget: {_first(copies)}", "add them to forget"
        )
    for (one, digests), (other, its) in combinations({"data": data, **unseen}.items(), 2):
        known = set(digests) - {b""}
        if shared := [row for row, digest in enumerate(its) if digest in known]:
            rows = counted(len(shared), f"row of {other} has", f"rows of {other} have")
            raise RequestError(
                f"{rows} the same pixels as rows of {one}: {_first(shared)}",
                f"leave them out of {other}, e.g. with torch.utils.data.Subset",
            )


def _first(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:FIRST])) + (" …" if len(rows) > FIRST else "")
