"""Samples of a run: opening, selection by the list, splits and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import forget_list, images, opening, splits
from falw_cli.data.forget_list import ForgetList
from falw_cli.data.images import Geometry, Images, Rows
from falw_cli.data.listing import Listing
from falw_cli.data.metadata import columns_of, groups_of
from falw_cli.data.splits import Chosen, Splits
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress

DEFAULT_PART = {"data": "train", "heldout": "test", "test": "test"}
CALLED = {"data": "training data", "heldout": "held-out data", "test": "test data"}


def open_source(config: Config, flag: str, progress: Progress | None = None) -> Listing:
    """List the samples that --data, --heldout or --test names.

    Args: progress, warned of what was guessed and passed over; None: the caller shows the notes.

    Raises:
        RequestError: it is not given, or cannot be listed.
    """
    spec = getattr(config, flag)
    if spec is None:
        raise RequestError(
            f"--{flag} is missing: the {CALLED[flag]}",
            f"give --{flag} KIND:LOCATION, or a line `{flag}:` in falw.yaml",
        )
    listing = opening.open_listing(
        spec, DEFAULT_PART[flag], allow_outside=config.allow_outside,
        label_column=config.label_column,
    )  # fmt: skip
    if progress:
        for note in listing.notes:
            progress.warn(f"{spec!r}: {note}")
    some = config.per_class.get(flag)  # type: ignore[call-overload]
    return listing.of_each_class(*some) if some else listing


def read_list(path: str, listing: Listing, progress: Progress) -> tuple[ForgetList, Rows]:
    """Return a list of IDs, and their rows in a listing; warn of what was assumed.

    Raises:
        RequestError: the list cannot be read, or names samples that the listing does not have.
    """
    named = forget_list.read(path, listing.ids)
    rows = forget_list.find(named.ids, listing.ids)
    for remark in named.remarks:
        progress.warn(remark)
    marked = [row for row in rows.tolist() if listing.ids[row].startswith("#")]
    if marked:
        among = sorted({repr(listing.classes[label]) for label in listing.labels[marked].tolist()})
        progress.warn(
            f"lines that begin with # are IDs of the data (class {', '.join(among[:5])}), and were "
            f"not taken for comments: {len(marked)}"
        )
    if named.duplicates:
        progress.warn(f"repeated IDs in the forget list, each used once: {named.duplicates}")
    return named, rows


def check_rows(
    rows: Rows, labels: Rows, classes: Sequence[str], progress: Progress, earlier: Rows
) -> None:
    """Refuse lists of all samples; warn about a list that covers a whole class.

    Args:
        rows: rows of the forget set.
        labels: class of each training sample, [N].
        classes: class names in the order of the model's outputs.
        progress: receives the warning.
        earlier: rows of earlier requests.

    Raises:
        RequestError: the lists cover all of the training data.
    """
    gone_or_listed = np.union1d(rows, earlier)
    if len(gone_or_listed) == len(labels):
        lists = "forget list covers" if not len(earlier) else "forget list and earlier lists cover"
        raise RequestError(
            f"the {lists} all {len(labels)} training samples",
            "leave some out, or train a new model",
        )
    left = np.bincount(np.delete(labels, gone_or_listed), minlength=len(classes))
    gone = np.bincount(labels[rows], minlength=len(classes))
    for index in np.flatnonzero((gone > 0) & (left == 0)).tolist():
        progress.warn(f"the forget list covers class {classes[index]!r} as a whole")


def check_readable(listed: int, readable: int, progress: Progress) -> None:
    """Warn if images of the list were skipped; refuse a list of which no image can be read.

    Raises:
        RequestError: no image of the list can be read.
    """
    if readable == listed:
        return
    if not readable:
        raise RequestError(
            f"none of the {listed} listed images can be read", "restore them; nothing was forgotten"
        )
    progress.warn(
        f"{listed - readable} of {listed} listed samples cannot be read: the model does not forget "
        "them, and no metric counts them"
    )


def unshared(
    one: Images, other: Images, flags: tuple[str, str], config: Config, progress: Progress
) -> Rows:
    """Return the rows of `other` that are no samples of `one`.

    Args:
        one, other: decoded sources.
        flags: what they are: "data", "heldout" or "test".
        config: `drop_shared`, to leave shared samples out of `other` with a warning.
        progress: receives the warning.

    Raises:
        RequestError: they share samples, and `drop_shared` is not set or leaves nothing.
    """
    rows, how = splits.shared(one, other)
    first, second = (CALLED[flag] for flag in flags)
    if not len(rows):
        return np.arange(len(other.listing.ids))
    if not config.drop_shared:
        named = ", ".join(repr(name) for name in sorted(other.listing.ids[row] for row in rows)[:5])
        raise RequestError(
            f"{_of(second, len(rows), 'is', 'are')} in the {first} too ({how}): {named}",
            f"remove them from one of the two, or leave them out of the {second}: --drop-shared",
        )
    kept: Rows = np.delete(np.arange(len(other.listing.ids)), rows)
    if not len(kept):
        raise RequestError(
            f"all samples of the {second} are in the {first} too ({how})", "give other data"
        )
    progress.warn(f"{_of(second, len(rows), 'was', 'were')} left out: also in the {first} ({how})")
    return kept


def _of(data: str, count: int, one: str, more: str) -> str:
    """Return a number of samples of some data, and a verb."""
    return counted(count, f"sample of the {data} {one}", f"samples of the {data} {more}")


@dataclass(frozen=True)
class Unseen:
    """Data the model was not trained on; rows of `heldout` that guide, of `test` that judge."""

    heldout: Images | None
    test: Images | None
    guides: Rows
    judges: Rows


def open_unseen(config: Config, data: Images, wanted: Geometry, progress: Progress) -> Unseen:
    """Return held-out and test data, of which no two sources share a sample."""
    if config.heldout is None and config.test is None:
        open_source(config, "heldout")
    opened: dict[str, Images] = {}
    rows = {"heldout": images.NONE, "test": images.NONE}
    for flag in ("heldout", "test"):
        if getattr(config, flag) is None:
            continue
        opened[flag] = images.load(open_source(config, flag, progress), config, wanted, progress)
        rows[flag] = unshared(data, opened[flag], ("data", flag), config, progress)
    heldout, test = opened.get("heldout"), opened.get("test")
    if heldout is not None and test is not None:
        apart = unshared(heldout, test, ("heldout", "test"), config, progress)
        rows["test"] = np.intersect1d(rows["test"], apart)
        if not len(rows["test"]):
            raise RequestError(
                f"all samples of {test.listing.spec!r} are in the training or the held-out data",
                "give test data that are in neither",
            )
    if heldout is None or test is not None:
        return Unseen(heldout, test, rows["heldout"], rows["test"])
    halves = splits.halves(_keys(heldout.listing, data.listing, config, progress))
    guides, judges = (np.intersect1d(half, rows["heldout"]) for half in halves)
    if not len(judges) or not len(guides):
        raise RequestError(
            f"{heldout.listing.spec!r} has too few samples to split in two", "give --test as well"
        )
    return Unseen(heldout, heldout, guides, judges)


def _keys(heldout: Listing, data: Listing, config: Config, progress: Progress) -> tuple[str, ...]:
    """Return what the halves of the held-out data depend on: the IDs, or the groups."""
    if config.group is None:
        return heldout.ids
    keys = groups_of(heldout, config.group, config.heldout_metadata, progress)
    known = columns_of(data, config.metadata, progress, config.group).values.get(config.group)
    if known is None:
        progress.warn(
            f"the training data has no column {config.group!r}: whether held-out samples share a "
            "value with it was not checked"
        )
    else:
        among = {f"{config.group}\0{value}" for value in known if value}
        if common := len(among & set(keys)):
            of = f"of {config.group!r}"
            progress.warn(
                counted(common, f"value {of} occurs", f"values {of} occur")
                + " in both the training data and the held-out data: samples of one group are "
                "alike, which favours the model"
            )
    return keys


def only(listing: Listing, rows: Rows) -> Listing:
    """Return the listing of some rows; the same object if these are all rows."""
    return listing if len(rows) == len(listing.ids) else listing.keep(rows)


def places(whole: Listing, some: Listing) -> Callable[[Rows], Rows]:
    """Return a map from rows of `whole` to rows of `some`, which drops all others."""
    if len(some.ids) == len(whole.ids):
        return lambda rows: rows
    decoded = set(some.ids)
    known = np.array([name in decoded for name in whole.ids])
    place = np.cumsum(known) - 1
    return lambda rows: place[rows[known[rows]]]


def split(
    data: Images, chosen: Chosen, unseen: Unseen, classes: Sequence[str], kept: Rows
) -> Splits:
    """Return the parts of a run.

    Args:
        data: decoded training data.
        chosen: rows of `data`.
        unseen: held-out and test data.
        classes: class names in the order of the model's outputs.
        kept: number of retain samples per class, decoded or not, [C].
    """
    labels = splits.align(data.listing, classes)
    guide = unseen.heldout or data
    judge = unseen.test or data
    retain = splits.part(data, labels, chosen.retain)
    same = np.array_equal(chosen.retain, chosen.judged)
    return Splits(
        forget=splits.part(data, labels, chosen.forget),
        retain=retain,
        judged=retain if same else splits.part(data, labels, chosen.judged),
        heldout=splits.part(guide, splits.align(guide.listing, classes), unseen.guides),
        test=splits.part(judge, splits.align(judge.listing, classes), unseen.judges),
        kept=kept,
        earlier=tuple(splits.part(data, labels, rows) for rows in chosen.earlier),
    )


def warn_of_samples(parts: Splits, progress: Progress) -> None:
    """Warn if only some of the retain set is used."""
    whole = int(parts.kept.sum())
    if len(parts.judged) < whole:
        progress.warn(
            f"retain metrics use {len(parts.judged):,} of {whole:,} retain samples, the same for "
            "every seed; only decoded images were checked for pixels that splits share"
        )


def warn_of_unguided(parts: Splits, classes: Sequence[str], progress: Progress) -> None:
    """Warn about classes of the forget set without held-out samples: their weight is 1."""
    if not len(parts.heldout):
        return
    missing = np.setdiff1d(parts.forget.labels, parts.heldout.labels)
    if len(missing):
        shown = ", ".join(repr(classes[index]) for index in missing[:10].tolist())
        progress.warn(
            f"no held-out sample of class {shown}: match and falw-quantile use "
            "all classes instead, the weighting falw gives its forget samples weight 1"
        )
