"""The training data of a run: the forget list, its copies, and the samples of earlier requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import images, loading, no_retain, splits
from falw_cli.data.copies import find_copies, find_earlier_copies
from falw_cli.data.forget_list import ForgetList
from falw_cli.data.images import Geometry, Images, Rows
from falw_cli.data.ledger import Entry
from falw_cli.data.listing import Listing
from falw_cli.data.metadata import right_labels
from falw_cli.data.splits import Chosen
from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.earlier import Earlier, open_earlier
from falw_cli.models.row_numbers import mark_of_rows, warn_of_moved_rows
from falw_cli.models.unknown_requests import (
    refuse_unlearned,
    refuse_unnamed,
    warn_of_unknown,
)
from falw_cli.runtime.progress import Progress


@dataclass(frozen=True)
class TrainingData:
    """Decoded training data, and what each row is used for."""

    images: Images
    chosen: Chosen
    """Rows of `images`."""
    kept: Rows
    """Number of retain samples per class, decoded or not, without unreadable ones, [C]."""
    named: ForgetList | None
    """The forget list; None without one."""
    listed: tuple[str, ...]
    """IDs of the forget list, each once, in its order, then those of copies. They must not get into
    a report or log."""
    unreadable: int
    """Number of listed samples whose images cannot be read: they are not in `chosen`."""
    copies: int
    """Number of exact copies of listed samples, which are in `chosen.forget` and `listed` too."""
    earlier: Earlier
    """Earlier requests."""
    row_mark: str | None
    """Mark of the data's rows if IDs are row numbers, see `row_numbers`."""
    right: Rows | None
    """Right class of each forget sample, [N_f]; None without --correct."""


def open_training_data(
    config: Config,
    source: Checkpoint,
    listing: Listing,
    classes: Sequence[str],
    wanted: Geometry,
    progress: Progress,
    recorded: Sequence[Entry],
    *,
    starts_run: bool = False,
) -> TrainingData:
    """Read the list, choose the samples that a run uses, and decode them.

    Args:
        config: the complete request.
        source: the model.
        listing: the training data.
        classes: class names in the order of the model's outputs.
        wanted: size and channels of the decoded images.
        progress: receives progress, notes and warnings.
        recorded: runs of the ledger.
        starts_run: whether to refuse a model whose earlier requests are not known.

    Raises:
        RequestError: the list does not fit the data, or leaves nothing.
    """
    if starts_run:
        refuse_unlearned(config, source, recorded)
    labels, number = splits.align(listing, classes), len(classes)
    named, rows = None, images.NONE
    if config.forget:
        named, rows = loading.read_list(config.forget, listing, progress)
    earlier = open_earlier(config, source, recorded, listing.ids, named, rows, progress)
    if starts_run:
        refuse_unnamed(config, source, earlier)
    warn_of_unknown(config, source, earlier, named, progress)
    warn_of_moved_rows(source, listing, earlier, progress)
    left_out = np.union1d(rows, earlier.rows)
    if config.no_retain:
        chosen = Chosen(rows, images.NONE, images.NONE, earlier.parts)
    else:
        loading.check_rows(rows, labels, classes, progress, earlier.rows)
        budget = config.unlearn.retain_budget
        chosen = splits.choose(labels, rows, budget, config.seed, earlier.parts)
    some = loading.only(listing, chosen.used())
    secret = loading.places(listing, some)(left_out)
    gone = loading.places(listing, some)(earlier.rows)
    data = images.load(some, config, wanted, progress, secret=secret, optional=gone)
    readable = set(data.listing.ids)
    skipped = [row for row in chosen.used().tolist() if listing.ids[row] not in readable]
    chosen = chosen.within(loading.places(listing, data.listing))
    loading.check_readable(len(rows), len(chosen.forget), progress)
    unreadable = len(rows) - len(chosen.forget)
    gone = np.unique(np.concatenate([images.NONE, *chosen.earlier]))
    if lacking := len(earlier.rows) - len(gone):
        progress.warn(
            f"samples of earlier requests whose images cannot be read: {lacking}; they are not "
            "measured"
        )
    copies = find_copies(data, chosen.forget, config, progress, gone)
    chosen = chosen.also(copies)
    again = find_earlier_copies(data, gone, config, progress, chosen.forget)
    chosen = chosen.without(again)
    left_out = np.union1d(left_out, np.array(skipped, dtype=np.int64))
    kept = np.bincount(np.delete(labels, left_out), minlength=number)
    also = np.concatenate([copies, again])
    kept -= np.bincount(splits.align(data.listing, classes)[also], minlength=number)
    if config.no_retain:
        kept = np.full(number, no_retain.UNKNOWN)
    elif not kept.any():
        raise RequestError("the list and its copies cover all training samples", "leave some out")
    right = None
    if config.correct and len(chosen.forget):
        of_list = data.listing.keep(chosen.forget)
        right = right_labels(of_list, classes, config.correct, config.metadata, progress)
    return TrainingData(
        data, chosen, kept, named,
        (*(named.ids if named else ()), *(data.listing.ids[row] for row in copies)),
        unreadable, len(copies), earlier, mark_of_rows(listing), right,
    )  # fmt: skip
