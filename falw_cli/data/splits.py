"""The splits of a run: forget, retain, held-out (guides) and test (judges), disjoint."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from falw_cli.data.images import Images, Rows
from falw_cli.data.labels import resolve_names, resolve_numbers
from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted


@dataclass(frozen=True)
class Part:
    """N samples of one split.

    Attributes:
        pixels: pixels of the whole source, uint8 [M, S, S, channels], maybe mapped from a file.
        rows: rows of these samples in `pixels`, int64 [N].
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
        """Return pixels of every `every`-th sample, in memory, [N / every, S, S, channels]."""
        whole = every == 1 and np.array_equal(self.rows, np.arange(len(self.pixels)))
        if whole and self.pixels.flags.writeable:  # torch warns about read-only maps
            return self.pixels
        taken: npt.NDArray[np.uint8] = self.pixels[self.rows[::every]]
        return taken


@dataclass(frozen=True)
class Splits:
    """The four disjoint parts of a run; `heldout` is empty if nothing needs guidance."""

    forget: Part
    retain: Part
    """Retain samples that the run uses."""
    judged: Part
    """Retain samples of the metrics; `retain` itself if they are the same."""
    heldout: Part
    test: Part
    kept: Rows
    """Number of retain samples per class, used or not, [C]."""
    earlier: tuple[Part, ...] = ()
    """Samples of each earlier request, which are neither forget nor retain samples."""


PER_FORGET = 10
"""Retain samples that a run uses per forget sample, by default."""
AT_LEAST = 10_000
"""Minimum number of retain samples that a run uses, by default."""
JUDGED = 50_000
"""Retain samples of the metrics, for an accuracy within a quarter of a point."""


@dataclass(frozen=True)
class Chosen:
    """Rows of the training data that a run decodes: forget, used retain and judged retain."""

    forget: Rows
    retain: Rows
    judged: Rows
    earlier: tuple[Rows, ...] = ()

    def used(self) -> Rows:
        """Return each row once, sorted."""
        return np.unique(np.concatenate([self.forget, self.retain, self.judged, *self.earlier]))

    def also(self, rows: Rows) -> Chosen:
        """Return the choice with more rows to forget."""
        return replace(self.without(rows), forget=np.union1d(self.forget, rows))

    def without(self, rows: Rows) -> Chosen:
        """Return the choice with fewer retain samples."""
        retain, judged = (np.setdiff1d(one, rows) for one in (self.retain, self.judged))
        return replace(self, retain=retain, judged=judged)

    def within(self, place: Callable[[Rows], Rows]) -> Chosen:
        """Return the same choice with renumbered rows."""
        parts = (place(self.forget), place(self.retain), place(self.judged))
        return Chosen(*parts, tuple(map(place, self.earlier)))


def choose(
    labels: Rows, forget: Rows, budget: int | None, seed: int, earlier: Sequence[Rows] = ()
) -> Chosen:
    """Choose the training data that a run uses, so that its cost depends on the list.

    Args:
        labels: class of each training sample, [N].
        forget: rows of the forget set.
        budget: maximum number of retain samples; default: PER_FORGET per forget sample, and at
            least AT_LEAST.
        seed: random seed of the draw; `judged` does not depend on it, to keep reports comparable.
        earlier: rows of each earlier request that are not in the forget set.
    """
    kept = np.setdiff1d(np.arange(len(labels)), np.concatenate([forget, *earlier]))
    budget = max(PER_FORGET * len(forget), AT_LEAST) if budget is None else budget
    return Chosen(
        forget,
        _some(kept, labels, budget, np.random.default_rng([seed, 6])),
        _some(kept, labels, JUDGED, np.random.default_rng(6)),
        tuple(earlier),
    )


def _some(rows: Rows, labels: Rows, count: int, random: np.random.Generator) -> Rows:
    """Return `count` rows, each class in its share, sorted; all rows if there are fewer."""
    if len(rows) <= count:
        return rows
    return np.sort(rows[class_aware_order(labels[rows], random)[:count]])


def class_aware_order(labels: Rows, random: np.random.Generator) -> Rows:
    """Return an order of the samples in which every section has each class in its share, [N].

    Args:
        labels: class of each sample, [N].
        random: determines the order within classes.
    """
    shuffled = random.permutation(len(labels))
    # Stable: groups the samples by class, and keeps the shuffled order within each.
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    count = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(count) - count, count)
    place = (rank + 0.5) / np.repeat(count, count)
    return by_class[np.argsort(place, kind="stable")]


def part(images: Images, labels: Rows, rows: Rows | None = None) -> Part:
    """Return some rows of a source (default: all), with labels in the model's class order."""
    rows = np.arange(len(labels)) if rows is None else rows
    return Part(images.pixels, rows, labels[rows])


def join(first: Part, second: Part) -> Part:
    """Join two parts; the samples of the first part come first. Two sources are copied to one."""
    labels = np.concatenate([first.labels, second.labels])
    if first.pixels is second.pixels:
        return Part(first.pixels, np.concatenate([first.rows, second.rows]), labels)
    return Part(np.concatenate([first.read(), second.read()]), np.arange(len(labels)), labels)


def align(listing: Listing, classes: Sequence[str]) -> Rows:
    """Return the labels of a listing in the model's class order.

    Names are looked up in `classes`, without regard to case if that leaves no choice. Bare numbers
    are names too if the model has all of them, else positions of outputs. `guessed_names` reports
    guesses.

    Raises:
        RequestError: a class that the model does not have, or has twice.
    """
    if listing.numbered:
        values, inverse = np.unique(listing.labels, return_inverse=True)
        outputs, _ = resolve_numbers(values.tolist(), classes)
        if max(outputs.values(), default=-1) >= len(classes):
            raise RequestError(
                f"{listing.spec!r} has a label {values[-1]}, "
                f"the model has {counted(len(classes), 'class', 'classes')}, from 0",
                "give the data that this model was trained on",
            )
        found: Rows = np.array([*outputs.values()], dtype=np.int64)[inverse]
        return found
    used = [listing.classes[label] for label in np.unique(listing.labels).tolist()]
    outputs_of = Counter(classes)
    if several := [name for name in used if outputs_of[name] > 1]:
        raise RequestError(
            f"the model has {outputs_of[several[0]]} outputs named {several[0]!r}: which one is "
            f"the class of {listing.spec!r}?",
            "name each output once: --classes FILE, one name per line, in the order of the outputs",
        )
    place, _ = resolve_names(used, classes)
    strange = sorted(set(used) - set(place))
    if strange:
        raise RequestError(
            f"{listing.spec!r} has classes that the model lacks: {', '.join(strange[:5])}",
            f"the model has {', '.join(list(classes)[:10])}"
            + (" …" if len(classes) > 10 else "")
            + "; rename them by --classes FILE: one name per line, in the order of the outputs",
        )
    table = np.array([place.get(name, -1) for name in listing.classes], dtype=np.int64)
    aligned: Rows = table[listing.labels]
    return aligned


def guessed_names(listing: Listing, classes: Sequence[str]) -> list[str]:
    """Return notes on labels that `align` matches with classes by a guess."""
    if listing.numbered:
        note = resolve_numbers(np.unique(listing.labels).tolist(), classes)[1]
        return [f"{listing.spec!r}: {note}"] if note else []
    used = [listing.classes[label] for label in np.unique(listing.labels).tolist()]
    return [f"{listing.spec!r}: {note}" for note in resolve_names(used, classes)[1]]


def halves(keys: Sequence[str]) -> tuple[Rows, Rows]:
    """Split held-out samples in two by a hash of their keys: (rows that guide, rows that judge).

    Args: keys, the ID of each sample, or the group that it belongs to.
    """
    judge = np.array(
        [hashlib.sha256(i.encode("utf-8", "surrogateescape")).digest()[0] & 1 for i in keys],
        dtype=bool,
    )
    return np.flatnonzero(~judge), np.flatnonzero(judge)


def copies(images: Images, listed: Rows) -> Rows:
    """Return the rows of exact copies of listed images, by their decoded pixels, sorted.

    Args:
        images: decoded images, of which only decoded ones are compared.
        listed: rows of the list.
    """
    digests = {images.digests[row].tobytes() for row in listed.tolist()}
    if not digests:
        return listed
    same = [row for row, one in enumerate(images.digests) if one.tobytes() in digests]
    return np.setdiff1d(np.array(same, dtype=np.int64), listed)


def shared(one: Images, other: Images) -> tuple[Rows, str]:
    """Return the rows of `other` that are samples of `one` too, and how that is known.

    Samples of the same source are compared by ID, others by their decoded pixels.
    """
    if one.listing.identity == other.listing.identity:
        known = set(one.listing.ids)
        same, how = [name in known for name in other.listing.ids], "by ID"
    else:
        digests = {row.tobytes() for row in one.digests}
        same, how = [row.tobytes() in digests for row in other.digests], "the same pixels"
    return np.flatnonzero(np.array(same, dtype=bool)), how
