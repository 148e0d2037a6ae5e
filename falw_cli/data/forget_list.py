"""The forget list: read from a file or stdin, or drawn with a long tail."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from falw_cli.config.paths import similar
from falw_cli.data.list_formats import Known, read_names
from falw_cli.data.listing import Listing
from falw_cli.data.lookalike import describe_difference
from falw_cli.errors import RequestError, nearest

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ForgetList:
    """IDs in the order of the list, each once; `duplicates` is the number of repetitions."""

    ids: tuple[str, ...]
    sha256: str
    """SHA-256 of the bytes as read; identifies the list in a report."""
    duplicates: int
    remarks: tuple[str, ...] = ()
    """What was assumed in reading it, for the report."""

    @property
    def ids_sha256(self) -> str:
        """SHA-256 of the IDs in sorted order: equal for two files with the same IDs."""
        return digest_of_ids(self.ids)


def digest_of_ids(ids: Iterable[str]) -> str:
    """Return the SHA-256 of IDs in sorted order."""
    text = "\n".join(sorted(ids))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read(path: str, known: Collection[str] = (), what: str = "forget list") -> ForgetList:
    """Read a list of sample IDs in one of the formats of `list_formats`; `-` is stdin, as text.

    Args:
        path: the list.
        known: IDs of the data, if they are known: one that begins with `#` is not a comment.
        what: name of the list, for messages.

    Raises:
        RequestError: the file cannot be read, is malformed, or names no ID.
    """
    where = f"the {what} on stdin" if path == "-" else f"{what} {path}"
    try:
        content = read_names(path, where, Known(known))
    except OSError as error:
        raise RequestError(
            f"{where} cannot be read: {error.strerror}",
            f"{similar(path)}give a file with one sample ID per line",
        ) from error
    if not content.names:
        raise RequestError(f"{where} has no ID", "write one sample ID per line; # starts a comment")
    ids = tuple(dict.fromkeys(content.names))
    return ForgetList(ids, content.sha256, len(content.names) - len(ids), content.remarks)


def find(ids: Sequence[str], known: Sequence[str]) -> Counts:
    """Return the rows of IDs in the training data, sorted: the order of a list has no meaning.

    Raises:
        RequestError: IDs are not in the training data; the message has their count and first five.
    """
    place = {name: row for row, name in enumerate(known)}
    unknown = [name for name in ids if name not in place]
    if unknown:
        first = ", ".join(repr(name) for name in unknown[:5])
        match = nearest(unknown[0], known[:: 1 + len(known) // 100_000])
        advice = describe_difference(unknown[0], known) or (
            f"did you mean {match!r}? " if match else ""
        )
        if unknown == [*ids[:1]] and len(ids) > 1:
            advice += "if it is the name of a column, remove its line or name the column id; "
        raise RequestError(
            f"{len(unknown)} of {len(ids)} forget IDs are not in the training data: {first}",
            f"{advice}`falw inspect` shows the IDs of a data source",
        )
    return np.sort(np.array([place[name] for name in ids], dtype=np.int64))


def tail_sizes(available: Counts, total: int, gamma: float, seed: int) -> Counts:
    """Return the number of samples to draw per class, by a power law of exponent gamma (FALW.md).

    Shares are proportional to rank ** -gamma in a seeded order of the classes; gamma = 0 is
    balanced. A class gives at most all of its samples, with the excess redistributed in proportion,
    and at least one if the total allows.

    Args:
        available: samples of each class, [C].
        total: samples to draw, at most the sum of `available`.
        gamma: exponent, >= 0.
        seed: random seed of the class order.

    Returns:
        int64 [C] that sums to `total`.
    """
    order = np.random.default_rng(seed).permutation(len(available))
    rank = np.empty(len(available))
    rank[order] = np.arange(1, len(available) + 1)
    share = np.where(available > 0, rank**-gamma, 0.0)
    floor = np.minimum(available, 1) if total >= np.count_nonzero(available) else 0 * available
    sizes = _waterfill(share, floor, available, total)
    return _round_to_sum(sizes, floor, available, total, rank)


def _waterfill(share: Shares, floor: Counts, cap: Counts, total: int) -> Shares:
    """Return clip(s * share, floor, cap) for the s at which it sums to the total (bisection)."""
    low, high = 0.0, (total + 1) / share[share > 0].min()
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * share, floor, cap).sum() < total:
            low = middle
        else:
            high = middle
    sizes: Shares = np.clip(high * share, floor, cap)
    return sizes


def _round_to_sum(sizes: Shares, floor: Counts, cap: Counts, total: int, rank: Shares) -> Counts:
    """Round to a given sum: largest remainders first, and the lower rank in a tie."""
    whole = np.clip(np.floor(sizes + 1e-9).astype(np.int64), floor, cap)
    by_remainder = np.lexsort((rank, whole - sizes))
    while (missing := total - int(whole.sum())) > 0:
        room = [c for c in by_remainder if whole[c] < cap[c]]
        whole[room[:missing]] += 1
    return whole


def draw_long_tail(listing: Listing, share: float, gamma: float, seed: int) -> str:
    """Draw a share of a listing, at least one sample; return the text of a forget list."""
    available = np.bincount(listing.labels, minlength=len(listing.classes))
    total = max(1, round(share * len(listing.ids)))
    rows = draw(listing.labels, tail_sizes(available, total, gamma, seed), seed)
    return "".join(f"{listing.ids[row]}\n" for row in rows)


def draw(labels: Counts, sizes: Counts, seed: int) -> Counts:
    """Return rows of `sizes[c]` samples of each class c, drawn without replacement, sorted."""
    rng = np.random.default_rng([seed, 1])
    rows = [
        rng.permutation(np.flatnonzero(labels == c))[:size] for c, size in enumerate(sizes.tolist())
    ]
    return np.sort(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int64)
