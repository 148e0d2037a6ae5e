"""Earlier requests: those of the checkpoint's chain, of `--forgotten` lists and of the ledger.

Their samples are neither forget nor retain samples: a step on them would teach them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import forget_list, ledger
from falw_cli.data.forget_list import ForgetList
from falw_cli.data.images import Rows
from falw_cli.data.ledger import Entry
from falw_cli.data.splits import Part
from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint, Metadata
from falw_cli.runtime.progress import Progress

NONE = "none"
"""The value of `--forgotten` which says that the earlier samples are no longer in the data."""
NOBODY: Rows = np.empty(0, dtype=np.int64)
Source = Literal["list", "ledger", "process", "checkpoint"]


@dataclass(frozen=True)
class Request:
    """One earlier request."""

    source: Source
    """Where it is known from: a `--forgotten` list, the ledger, an earlier call in this process, or
    only the metadata of the checkpoint."""
    sha256: str | None
    """Digest of its list."""
    count: int | None = None
    """IDs on its list; None if only the checkpoint names it."""
    rows: Rows | None = None
    """Rows of the training data that were on its list; None if only the checkpoint names it."""
    created: datetime | None = None
    """When the ledger's run ended."""
    of_this_model: bool = True
    """Whether the model, or one that it was made from, was the output of that run."""


@dataclass(frozen=True)
class Earlier:
    """The earlier requests of a run."""

    requests: tuple[Request, ...]
    parts: tuple[Rows, ...]
    """Rows of each request that are not on the forget list."""
    again: int
    """IDs of the forget list that are on an earlier list too."""

    @property
    def rows(self) -> Rows:
        """Rows of all `parts`, each once, sorted."""
        return np.unique(np.concatenate([NOBODY, *self.parts]))


_DONE: list[Entry] = []
"""Runs of this process, so that a program that calls `unlearn` twice needs no ledger."""


def remember(run: ledger.Run) -> None:
    """Remember a completed run until the process ends."""
    _DONE.append(run.entry())


def open_earlier(
    config: Config,
    source: Checkpoint,
    recorded: Sequence[Entry],
    ids: Sequence[str],
    named: ForgetList | None,
    rows: Rows,
    progress: Progress,
) -> Earlier:
    """Return the earlier requests, with their samples in the training data.

    Args:
        config: names the lists.
        source: the model.
        recorded: runs of the ledger, from `recorded_runs`.
        ids: of the training data.
        named: the forget list; an earlier request with the same list is left out.
        rows: rows of the forget list.
        progress: receives notes and warnings.

    Raises:
        RequestError: a list cannot be read.
    """
    if NONE in config.forgotten and set(config.forgotten) != {NONE}:
        raise RequestError(
            "--forgotten none conflicts with --forgotten FILE",
            "give the files, or none if all earlier samples are no longer in the data",
        )
    place = {name: row for row, name in enumerate(ids)} if config.forgotten else {}
    found: list[Request] = []
    for path in config.forgotten:
        if path != NONE:
            one = forget_list.read(path, ids)
            for remark in one.remarks:
                progress.warn(remark)
            known = np.array(sorted(place[name] for name in one.ids if name in place), np.int64)
            found.append(Request("list", one.sha256, len(one.ids), known))
    chain = _outputs_in_chain(source, recorded)
    for where, entries in (("ledger", recorded), ("process", _of_process(chain, recorded))):
        for entry in entries:
            own = entry.output in chain
            said = (entry.forget_list, len(entry.ids), entry.rows(ids), entry.created, own)
            found.append(Request(where, *said))  # type: ignore[arg-type]
    uncovered = _uncovered(source, [*recorded, *_of_process(chain, recorded)])
    found += [Request("checkpoint", digest) for digest in uncovered]
    requests = _each_once(found, named.sha256 if named else None)
    every = [NOBODY if one.rows is None else one.rows for one in requests]
    again = len(np.intersect1d(rows, np.concatenate([NOBODY, *every])))
    earlier = Earlier(requests, tuple(np.setdiff1d(one, rows) for one in every), again)
    _warn_of_unknown(config, earlier, named, progress)
    return earlier


def _each_once(found: Sequence[Request], mine: str | None) -> tuple[Request, ...]:
    """Return one request per list, the model's own first.

    An earlier run on the forget list itself is no earlier request, unless it was named as one.
    """
    lists: set[str | None] = set()
    kept = []
    for one in sorted(found, key=lambda one: not one.of_this_model):
        repeated = one.sha256 is not None and one.sha256 in lists
        if not repeated and (one.source == "list" or one.sha256 != mine or mine is None):
            kept.append(one)
        lists.add(one.sha256)
    return tuple(kept)


def refuse_unlearned(config: Config, source: Checkpoint, recorded: Sequence[Entry]) -> None:
    """Refuse a model that was unlearned before, unless its earlier requests are known.

    Args: recorded, runs of the ledger.

    Raises:
        RequestError: its samples would count as retain samples.
    """
    if config.forgotten or config.no_retain:
        return
    chain = _outputs_in_chain(source, recorded)
    missing = _uncovered(source, [*recorded, *_of_process(chain, recorded)])
    if not missing:
        return
    if config.ledger:
        runs = "its run" if len(missing) == 1 else f"{len(missing)} of its runs"
        raise RequestError(
            f"{source.path} was unlearned before, and ledger {config.ledger} does not hold {runs}",
            "add --forgotten FILE with the earlier IDs, or --forgotten none if those samples are "
            "no longer in the data",
        )
    raise RequestError(
        f"{source.path} was unlearned before: samples of the earlier request that are still in "
        "the data would be learned again",
        "name them with --forgotten FILE or --ledger FILE, or give --forgotten none if they are "
        "no longer in the data",
    )


def steps_back(said: Metadata, digest: str) -> int | None:
    """Return the number of unlearning runs from an ancestor to the checkpoint; None if unrelated.

    Args:
        said: metadata of the checkpoint.
        digest: SHA-256 of the supposed ancestor.
    """
    for number, one in enumerate(said.chain):
        if one.sha256 == digest:
            return sum(later.step == "unlearned" for later in said.chain[number:])
    return None


def _warn_of_unknown(
    config: Config, earlier: Earlier, named: ForgetList | None, progress: Progress
) -> None:
    """Note what is left out, and warn of earlier requests whose samples may count as retained."""
    unknown = [one for one in earlier.requests if one.source == "checkpoint"]
    # An older falw did not store the digest of the list: the forget list may be that list.
    if len(unknown) == 1 and unknown[0].sha256 is None and named:
        unknown = []
    if config.no_retain:  # no step uses a sample that is not on the list
        unknown = []
    if unknown and not config.forgotten:
        runs = "once" if len(unknown) == 1 else f"{len(unknown)} times"
        progress.warn(
            f"the model was unlearned {runs} with lists that are not given: their samples that are "
            "still in the data count as retain samples; name them with --forgotten or --ledger"
        )
    elif unknown and any(one.source == "list" for one in earlier.requests):
        progress.warn(
            f"{len(unknown)} earlier lists of the model have other digests than the files of "
            "--forgotten: their samples that no file names count as retain samples; that is right "
            "only if a file has the IDs of several lists"
        )
    if earlier.requests and any(one.rows is not None for one in earlier.requests):
        progress.note(
            f"{len(earlier.rows)} samples of earlier requests are in the data: they are neither "
            "forget nor retain samples"
        )


def recorded_runs(config: Config, until: datetime | None = None) -> tuple[Entry, ...]:
    """Return the runs of the ledger before `until`; none if it does not exist yet.

    Raises:
        RequestError: the ledger cannot be read.
    """
    if config.ledger is None or not Path(config.ledger).exists():
        return ()
    entries = ledger.read(config.ledger)
    return tuple(one for one in entries if until is None or one.created < until)


def _outputs_in_chain(source: Checkpoint, entries: Sequence[Entry]) -> set[str]:
    """Return the digests of the model and of all checkpoints that it was made from."""
    known = {
        source.sha256,
        *(one.sha256 for one in (source.metadata.chain if source.metadata else ())),
    }
    made_from = {one.output: one.model for one in entries}
    # A checkpoint without metadata, such as a .pt file, has its chain in the ledger alone.
    while more := {made_from[one] for one in known if one in made_from} - known:
        known |= more
    return known


def _of_process(chain: set[str], recorded: Sequence[Entry]) -> list[Entry]:
    """Return runs of this process in the chain of the model that the ledger does not hold."""
    known = {one.output for one in recorded}
    return [one for one in _DONE if one.output in chain and one.output not in known]


def _uncovered(source: Checkpoint, entries: Sequence[Entry]) -> list[str | None]:
    """Return the list digests of the model's earlier runs that no entry describes."""
    said = source.metadata
    if said is None or said.unlearned is None:
        return []
    outputs = {one.output for one in entries}
    made = [*(one.sha256 for one in said.chain[1:]), source.sha256]
    runs = [
        (one.forget_list, output)
        for one, output in zip(said.chain, made, strict=False)
        if one.step == "unlearned"
    ]
    return [digest for digest, output in runs or [(None, "")] if output not in outputs]


def split_of(described: Mapping[str, Any], test: Part) -> dict[str, str | None]:
    """Return what a checkpoint records of the held-out data of its run: its digest, and its split.

    Args: described, the report's `inputs`; test, the samples that only evaluate.
    """
    heldout, judge = described["heldout"], described["test"]
    halved = heldout and judge and heldout["sha256"] == judge["sha256"]
    return {
        "heldout": heldout["sha256"] if heldout else None,
        "judged": hashlib.sha256(test.rows.tobytes()).hexdigest() if halved else None,
    }


def warn_of_guides(
    source: Checkpoint, described: Mapping[str, Any], test: Part, progress: Progress
) -> None:
    """Warn if samples that evaluate may have guided the run that wrote the checkpoint."""
    said = (source.metadata and source.metadata.unlearned) or {}
    judge = described["test"]
    if not judge or judge["sha256"] != said.get("heldout"):
        return
    judged = split_of(described, test)["judged"]
    if judged is None or judged != said.get("judged"):
        progress.warn(
            "test samples may have guided the run that made this model: it split the same held-out "
            "data otherwise; give the same --group, --heldout-metadata and --test as then"
        )
