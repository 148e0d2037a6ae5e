"""Who takes part in what: forget, retain, held-out (guides) and test (judges), never mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from falw_cli.data.images import Images
from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Samples of one split: pixels uint8 [N, S, S, channels] and model class int64 [N]."""

    pixels: npt.NDArray[np.uint8]
    labels: Rows

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The four disjoint parts of a run; `heldout` is empty where nothing needs guidance."""

    forget: Part
    retain: Part
    heldout: Part
    test: Part


def part(images: Images, labels: Rows, rows: Rows | None = None) -> Part:
    """Some rows of a source (all by default), with labels in the model's class order."""
    if rows is None:
        return Part(images.pixels, labels)
    return Part(images.pixels[rows], labels[rows])


def align(listing: Listing, classes: Sequence[str]) -> Rows:
    """Labels of a listing as the model numbers its classes.

    Bare numbers mean the model's outputs; names are looked up in `classes`.

    Raises:
        RequestError: a class that the model does not have.
    """
    if listing.numbered:
        if len(listing.classes) > len(classes):
            raise RequestError(
                f"{listing.spec!r} has a label {len(listing.classes) - 1}, "
                f"the model has {len(classes)} classes, from 0",
                "is it the data that this model was trained on?",
            )
        return listing.labels
    place = {name: index for index, name in enumerate(classes)}
    used = {listing.classes[label] for label in np.unique(listing.labels)}
    strange = sorted(used - set(place))
    if strange:
        raise RequestError(
            f"{listing.spec!r} has classes that the model lacks: {', '.join(strange[:5])}",
            f"the model knows {', '.join(list(classes)[:10])}"
            + (" …" if len(classes) > 10 else "")
            + "; `classes:` in falw.yaml names its outputs in order",
        )
    table = np.array([place.get(name, -1) for name in listing.classes], dtype=np.int64)
    aligned: Rows = table[listing.labels]
    return aligned


def halves(ids: Sequence[str]) -> tuple[Rows, Rows]:
    """Split held-out samples in two by a hash of the ID: (rows that guide, rows that judge)."""
    judge = np.array(
        [hashlib.sha256(i.encode("utf-8", "surrogateescape")).digest()[0] & 1 for i in ids],
        dtype=bool,
    )
    return np.flatnonzero(~judge), np.flatnonzero(judge)


def check_disjoint(one: Images, other: Images, names: tuple[str, str]) -> None:
    """Refuse two sources that share samples, by ID of the same source or by content.

    Args:
        one, other: decoded sources.
        names: what they are, for the message ("training data", "held-out data").

    Raises:
        RequestError: they share samples.
    """
    if one.listing.identity == other.listing.identity:
        shared = set(one.listing.ids) & set(other.listing.ids)
        how = "by ID"
    else:
        digests = {row.tobytes() for row in one.digests}
        rows = zip(other.listing.ids, other.digests, strict=True)
        shared = {name for name, row in rows if row.tobytes() in digests}
        how = "the same pixels"
    if shared:
        first = ", ".join(repr(name) for name in sorted(shared)[:5])
        raise RequestError(
            f"{len(shared)} samples of the {names[1]} are in the {names[0]} too ({how}): {first}",
            "the splits must share no sample: take them out of one of the two",
        )
