"""Samples of a run: opening, selection by the list, splits and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import images, opening, splits
from falw_cli.data.images import Geometry, Images, Rows
from falw_cli.data.listing import Listing
from falw_cli.data.splits import Chosen, Splits
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Progress

DEFAULT_PART = {"data": "train", "heldout": "test", "test": "test"}
CALLED = {"data": "training data", "heldout": "held-out data", "test": "test data"}


def open_source(config: Config, flag: str) -> Listing:
    """List the samples that --data, --heldout or --test names.

    Raises:
        RequestError: it is not given, or cannot be listed.
    """
    spec = getattr(config, flag)
    if spec is None:
        raise RequestError(
            f"--{flag} is missing: the {CALLED[flag]}",
            f"give --{flag} KIND:LOCATION, or a line `{flag}:` in falw.yaml",
        )
    listing = opening.open_listing(spec, DEFAULT_PART[flag], allow_outside=config.allow_outside)
    some = config.per_class.get(flag)  # type: ignore[call-overload]
    return listing.of_each_class(*some) if some else listing


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


@dataclass(frozen=True)
class Unseen:
    """Data the model was not trained on; rows of `heldout` that guide, of `test` that judge."""

    heldout: Images | None
    test: Images | None
    guides: Rows
    judges: Rows


def open_unseen(config: Config, data: Images, wanted: Geometry, progress: Progress) -> Unseen:
    """Return held-out and test data; check that no two sources share a sample."""
    if config.heldout is None and config.test is None:
        open_source(config, "heldout")
    opened: dict[str, Images] = {}
    for flag in ("heldout", "test"):
        if getattr(config, flag) is None:
            continue
        opened[flag] = images.load(open_source(config, flag), config, wanted, progress)
        splits.check_disjoint(data, opened[flag], (CALLED["data"], CALLED[flag]))
    if len(opened) == 2:
        splits.check_disjoint(
            opened["heldout"], opened["test"], (CALLED["heldout"], CALLED["test"])
        )
    heldout, test = opened.get("heldout"), opened.get("test")
    if heldout is None or test is not None:
        guides, judges = (np.arange(len(one.listing.ids) if one else 0) for one in (heldout, test))
        return Unseen(heldout, test, guides, judges)
    guides, judges = splits.halves(heldout.listing.ids)
    if not len(judges) or not len(guides):
        raise RequestError(
            f"{heldout.listing.spec!r} has too few samples to split in two", "give --test as well"
        )
    return Unseen(heldout, heldout, guides, judges)


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
            f"no held-out sample of class {shown}: falw gives its forget samples weight 1, "
            "match and falw-quantile use all classes instead"
        )
