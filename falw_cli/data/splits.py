"""Who takes part in what: forget, retain, held-out (guides) and test (judges), never mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from falw_cli.data.images import Images
from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """N samples of one split.

    Attributes:
        pixels: of the whole source, uint8 [M, S, S, channels], maybe mapped from a file.
        rows: which of them these are, int64 [N].
        labels: model class of each, int64 [N].
    """

    pixels: npt.NDArray[np.uint8]
    rows: Rows
    labels: Rows

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Bytes of the samples' pixels."""
        return len(self) * int(np.prod(self.pixels.shape[1:], dtype=np.int64))

    def read(self, every: int = 1) -> npt.NDArray[np.uint8]:
        """The pixels of each `every`-th sample, in memory, [N / every, S, S, channels]."""
        whole = every == 1 and np.array_equal(self.rows, np.arange(len(self.pixels)))
        if whole and self.pixels.flags.writeable:  # torch warns of what is mapped read-only
            return self.pixels
        taken: npt.NDArray[np.uint8] = self.pixels[self.rows[::every]]
        return taken


@dataclass(frozen=True)
class Splits:
    """The four disjoint parts of a run; `heldout` is empty where nothing needs guidance."""

    forget: Part
    retain: Part
    """Retain samples that the run may look at."""
    judged: Part
    """Retain samples that metrics are taken on; `retain` itself where that is all of them."""
    heldout: Part
    test: Part
    kept: Rows
    """All retain samples of each class, looked at or not, [C]."""


PER_FORGET = 10
"""Retain samples that a run looks at, for each forget sample, unless more are asked for, …"""
AT_LEAST = 10_000
"""… or the list is short."""
JUDGED = 50_000
"""Retain samples that metrics are taken on: an accuracy then stands within a quarter of a point."""


@dataclass(frozen=True)
class Chosen:
    """Rows of the training data that a run decodes: forget, looked-at and judged retain rows."""

    forget: Rows
    retain: Rows
    judged: Rows

    def used(self) -> Rows:
        """Each row once, sorted."""
        return np.unique(np.concatenate([self.forget, self.retain, self.judged]))

    def within(self, place: Callable[[Rows], Rows]) -> Chosen:
        """The same with rows renumbered."""
        return Chosen(place(self.forget), place(self.retain), place(self.judged))


def choose(labels: Rows, forget: Rows, budget: int | None, seed: int) -> Chosen:
    """What of the training data a run looks at, so that its cost goes by the list.

    Args:
        labels: class of each training sample, [N].
        forget: rows of the forget set.
        budget: retain samples that the run may look at; default: PER_FORGET for each forget sample
            and AT_LEAST in any case.
        seed: of the draw. What is judged does not depend on it, so that reports compare.
    """
    kept = np.setdiff1d(np.arange(len(labels)), forget)
    budget = max(PER_FORGET * len(forget), AT_LEAST) if budget is None else budget
    return Chosen(
        forget,
        _some(kept, labels, budget, np.random.default_rng([seed, 6])),
        _some(kept, labels, JUDGED, np.random.default_rng(6)),
    )


def _some(rows: Rows, labels: Rows, count: int, random: np.random.Generator) -> Rows:
    """`count` of the rows, each class in its share, sorted; all of them where they are fewer."""
    if len(rows) <= count:
        return rows
    return np.sort(rows[class_aware_order(labels[rows], random)[:count]])


def class_aware_order(labels: Rows, random: np.random.Generator) -> Rows:
    """Samples in an order in which every stretch has each class in its share, [N].

    Args:
        labels: class of each sample, [N].
        random: which sample of a class comes first, and which class.
    """
    shuffled = random.permutation(len(labels))
    # Stable: the samples of a class one after the other, each class in shuffled order.
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    count = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(count) - count, count)
    place = (rank + 0.5) / np.repeat(count, count)
    return by_class[np.argsort(place, kind="stable")]


def part(images: Images, labels: Rows, rows: Rows | None = None) -> Part:
    """Some rows of a source (all by default), with labels in the model's class order."""
    rows = np.arange(len(labels)) if rows is None else rows
    return Part(images.pixels, rows, labels[rows])


def join(first: Part, second: Part) -> Part:
    """Two parts of one source as one: the first part's samples come first."""
    return Part(
        first.pixels,
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.labels, second.labels]),
    )


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
