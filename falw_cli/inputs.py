"""Checkpoint, data and forget list of a run: opened, checked against each other, and described."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from falw_cli import architectures, checkpoint
from falw_cli.checkpoint import Checkpoint
from falw_cli.config import Config, Preprocessing
from falw_cli.data import forget_list, images, sources, splits
from falw_cli.data.batches import resident
from falw_cli.data.images import Geometry, Images
from falw_cli.data.listing import Listing
from falw_cli.data.splits import Chosen, Rows, Splits
from falw_cli.errors import RequestError
from falw_cli.network import IMAGENET, Network, Plan, assemble, complete, make_fabric, plan, settle
from falw_cli.progress import Progress

DEFAULT_PART = {"data": "train", "heldout": "test", "test": "test"}
CALLED = {"data": "training data", "heldout": "held-out data", "test": "test data"}


@dataclass(frozen=True)
class Inputs:
    """Everything that `unlearn` and `evaluate` work on."""

    config: Config
    source: Checkpoint
    network: Network
    splits: Splits
    references: tuple[Network, ...]
    described: dict[str, Any]
    """The report's `inputs`."""


def open_inputs(config: Config, progress: Progress) -> Inputs:
    """Open and check all that `unlearn` and `evaluate` work on.

    Args:
        config: as the user gave it; what the checkpoint says of itself is put below it.
        progress: where bars, notes and warnings go.

    Raises:
        RequestError: anything that does not fit.
    """
    given = config
    if config.model is None:
        raise RequestError("no checkpoint is given", "name it: model.safetensors")
    source = checkpoint.read(config.model)
    config = settle(config, source)
    made = plan(config, source)
    fabric = make_fabric(config.device, config.precision)
    listing = open_source(config, "data")
    classes = _class_names(config, listing, made)
    labels = splits.align(listing, classes)
    named = forget_list.read(config.forget) if config.forget else None
    rows = forget_list.find(named.ids, listing.ids) if named else np.empty(0, dtype=np.int64)
    _check_rows(rows, labels, classes, progress)
    if named and named.duplicates:
        progress.warn(f"repeated IDs in the forget list, each used once: {named.duplicates}")
    shown = _shown(config, made.arch, progress)
    wanted = images.geometry(listing, shown.image_size, shown.resize, made.channels)
    chosen = splits.choose(labels, rows, config.unlearn.retain_budget, config.seed)
    data = load(_only(listing, chosen.used()), config, wanted, progress)
    chosen = chosen.within(_places(listing, data.listing))
    unseen = _unseen(config, data, wanted, progress)
    kept = np.bincount(np.delete(labels, rows), minlength=len(classes))
    parts = _split(data, chosen, unseen, classes, kept)
    _warn_of_samples(parts, progress)
    shown = complete(shown, wanted, resident(parts.retain, fabric.device))
    network = assemble(made, source, classes, shown, fabric)
    references = tuple(_reference(path, given, network) for path in config.reference)
    _warn_of_unguided(parts, classes, progress)
    described = {
        "model": {"path": str(source.path), "sha256": source.sha256},
        "forget_list": {"sha256": named.sha256, "count": len(chosen.forget)} if named else None,
        "data": {**_describe(data, len(parts.forget) + len(parts.retain)), "count": len(labels)},
        "heldout": _describe(unseen.heldout, len(parts.heldout)) if unseen.heldout else None,
        "test": _describe(unseen.test, len(parts.test)) if unseen.test else None,
        "references": [
            {"path": path, "sha256": checkpoint.read(path).sha256} for path in config.reference
        ],
    }
    return Inputs(config, source, network, parts, references, described)


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
    listing = sources.open_listing(spec, DEFAULT_PART[flag], allow_outside=config.allow_outside)
    some = config.per_class.get(flag)  # type: ignore[call-overload]
    return listing.of_each_class(*some) if some else listing


def load(
    listing: Listing, config: Config, wanted: Geometry, progress: Progress, *, strict: bool = False
) -> Images:
    """Decode a listing as the config wants it; `strict` refuses images of several sizes."""
    return images.load(
        listing,
        wanted,
        progress,
        cache=config.cache,
        skip_unreadable=config.skip_unreadable,
        strict_size=strict,
    )


def _class_names(config: Config, listing: Listing, made: Plan) -> tuple[str, ...]:
    """Names of the outputs: given, or the data's own where it has one for each."""
    if config.classes is not None:
        return config.classes
    if listing.numbered:
        return tuple(str(i) for i in range(made.num_classes))
    if len(listing.classes) != made.num_classes:
        raise RequestError(
            f"the model has {made.num_classes} outputs, "
            f"{listing.spec!r} has {len(listing.classes)} classes",
            "is it the data that it was trained on? `classes:` in falw.yaml names its outputs",
        )
    return listing.classes


def _check_rows(rows: Rows, labels: Rows, classes: Sequence[str], progress: Progress) -> None:
    if len(rows) == len(labels):
        raise RequestError(
            f"the forget list covers all {len(labels)} training samples",
            "nothing would be kept: a new model is what you need",
        )
    left = np.bincount(np.delete(labels, rows), minlength=len(classes))
    gone = np.bincount(labels[rows], minlength=len(classes))
    for index in np.flatnonzero((gone > 0) & (left == 0)).tolist():
        progress.warn(f"the forget list covers class {classes[index]!r} as a whole")


def _shown(config: Config, arch: str, progress: Progress) -> Preprocessing:
    """Preprocessing as far as anybody said it, with a guess, and a warning, where nobody did."""
    shown = config.preprocessing
    if shown.mean is not None and shown.std is not None:
        return shown
    if arch in architectures.OWN or architectures.is_code(arch):
        progress.warn("nobody gave preprocessing mean and std: measured on the retain set")
        return shown
    progress.warn("nobody gave the preprocessing: ImageNet's was taken")
    merged = IMAGENET.model_dump() | shown.model_dump(exclude_none=True)
    return Preprocessing.model_validate(merged)


@dataclass(frozen=True)
class Unseen:
    """Sources that the model never saw; rows of `heldout` that guide and that judge."""

    heldout: Images | None
    test: Images | None
    guides: Rows
    judges: Rows


def _unseen(config: Config, data: Images, wanted: Geometry, progress: Progress) -> Unseen:
    """Held-out and test data, neither of which shares a sample with another source."""
    if config.heldout is None and config.test is None:
        open_source(config, "heldout")
    opened: dict[str, Images] = {}
    for flag in ("heldout", "test"):
        if getattr(config, flag) is None:
            continue
        opened[flag] = load(open_source(config, flag), config, wanted, progress)
        splits.check_disjoint(data, opened[flag], (CALLED["data"], CALLED[flag]))
    if len(opened) == 2:
        splits.check_disjoint(
            opened["heldout"], opened["test"], (CALLED["heldout"], CALLED["test"])
        )
    heldout, test = opened.get("heldout"), opened.get("test")
    if heldout is None:
        return Unseen(None, test, *_all_judge(test))
    if test is not None:
        return Unseen(heldout, test, np.arange(len(heldout.listing.ids)), _all_judge(test)[1])
    guides, judges = splits.halves(heldout.listing.ids)
    if not len(judges) or not len(guides):
        raise RequestError(
            f"{heldout.listing.spec!r} has too few samples to split in two", "give --test as well"
        )
    return Unseen(heldout, heldout, guides, judges)


def _all_judge(test: Images | None) -> tuple[Rows, Rows]:
    return np.empty(0, dtype=np.int64), np.arange(len(test.listing.ids) if test else 0)


def _only(listing: Listing, rows: Rows) -> Listing:
    return listing if len(rows) == len(listing.ids) else listing.keep(rows)


def _places(whole: Listing, some: Listing) -> Callable[[Rows], Rows]:
    """Rows of the whole listing -> rows of what was decoded of it; others are passed over."""
    if len(some.ids) == len(whole.ids):
        return lambda rows: rows
    decoded = set(some.ids)
    known = np.array([name in decoded for name in whole.ids])
    place = np.cumsum(known) - 1
    return lambda rows: place[rows[known[rows]]]


def _split(
    data: Images, chosen: Chosen, unseen: Unseen, classes: Sequence[str], kept: Rows
) -> Splits:
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
    )


def _warn_of_samples(parts: Splits, progress: Progress) -> None:
    """Say where only some of the retain set took part."""
    whole = int(parts.kept.sum())
    if len(parts.judged) < whole:
        progress.warn(
            f"retain metrics are of {len(parts.judged):,} of {whole:,} retain samples, drawn "
            "whatever the seed; that the splits share no pixels was checked on what was decoded"
        )


def _warn_of_unguided(parts: Splits, classes: Sequence[str], progress: Progress) -> None:
    """Name the classes of the forget set that no held-out sample guides: their weight is 1."""
    if not len(parts.heldout):
        return
    missing = np.setdiff1d(parts.forget.labels, parts.heldout.labels)
    if len(missing):
        shown = ", ".join(repr(classes[index]) for index in missing[:10].tolist())
        progress.warn(
            f"no held-out sample of class {shown}: falw weighs its forget samples 1, "
            "match and falw-quantile borrow from all classes"
        )


def _reference(path: str, given: Config, network: Network) -> Network:
    """A Retrain checkpoint, which must know the same classes and take the same images."""
    source = checkpoint.read(path)
    # What was said of the model to unlearn holds for a reference that says nothing of itself.
    said = {"arch": network.arch, "preprocessing": network.preprocessing.model_dump()}
    config = settle(given if source.metadata else given.over(said), source)
    made = plan(config, source)
    classes = config.classes or network.classes
    if classes != network.classes or made.num_classes != len(classes):
        raise RequestError(
            f"reference {path} knows other classes than the model", "retrain it on the same data"
        )
    shown = config.preprocessing
    same = (shown.image_size, shown.resize)
    if same != (network.preprocessing.image_size, network.preprocessing.resize):
        raise RequestError(
            f"reference {path} takes images of {same[0]} pixels, "
            f"the model of {network.preprocessing.image_size}",
            "retrain it with the same preprocessing",
        )
    return assemble(made, source, classes, shown, network.fabric)


def _describe(data: Images, used: int | None = None) -> dict[str, Any]:
    count = len(data.listing.ids)
    return {
        "spec": data.listing.spec,
        "sha256": data.content_digest(),
        "count": count,
        "used": count if used is None else used,
    }
