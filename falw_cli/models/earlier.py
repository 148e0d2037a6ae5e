"""Earlier requests: those of the checkpoint's chain, of `--forgotten` lists and of the ledger.

Their samples are neither forget nor retain samples: a step on them would teach them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import forget_list, ledger
from falw_cli.data.forget_list import ForgetList
from falw_cli.data.images import Rows
from falw_cli.data.ledger import Entry
from falw_cli.errors import RequestError
from falw_cli.models.chain import digest_of, judged, outputs_in_chain, uncovered
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.runtime.journal import is_present
from falw_cli.runtime.progress import Progress

NONE = "none"
"""The value of `--forgotten` which says that the samples of lists that are not named are no longer
in the data."""
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
    forgotten: bool | None = None
    """Whether the run that made this model forget the list did so, as far as its audit shows; None
    if no such run is known."""


@dataclass(frozen=True)
class Earlier:
    """The earlier requests of a run."""

    requests: tuple[Request, ...]
    parts: tuple[Rows, ...]
    """Rows of each request that are not on the forget list."""
    again: int
    """IDs of the forget list that are on an earlier list too."""
    number: int
    """Lists that this model was made to forget before, as far as metadata and ledger say."""

    @property
    def rows(self) -> Rows:
        """Rows of all `parts`, each once, sorted."""
        return np.unique(np.concatenate([NOBODY, *self.parts]))

    @property
    def of_others(self) -> list[Rows]:
        """Rows of each request of another model, without the rows of this model's requests."""
        pairs = list(zip(self.requests, self.parts, strict=True))
        own = np.concatenate([NOBODY, *(part for one, part in pairs if one.of_this_model)])
        others = [np.setdiff1d(part, own) for one, part in pairs if not one.of_this_model]
        return [rows for rows in others if len(rows)]


_DONE: list[Entry] = []
"""Runs of this process, so that a program that calls `unlearn` twice needs no ledger."""


def remember(run: Entry) -> None:
    """Remember a completed run until the process ends."""
    _DONE.append(run)


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
        progress: receives the remarks on the lists.

    Raises:
        RequestError: a list cannot be read.
    """
    chain = outputs_in_chain(source, recorded)
    process, mine = of_process(chain, recorded), digest_of(named, source) if named else None
    same: dict[tuple[int | None, bytes], object] = {}
    if named:
        same[len(named.ids), rows.tobytes()] = mine
    own = [one for one in (*recorded, *process) if one.output in chain]
    found = _of_lists(config, source, ids, own, mine, progress)
    found += [_of_entry("ledger", one, ids, chain) for one in recorded]
    found += [_of_entry("process", one, ids, chain) for one in process]
    found += [Request("checkpoint", digest) for digest in uncovered(source, own)]
    answers = judged(source, own)
    requests = tuple(
        replace(one, forgotten=answers.get(one.sha256)) for one in _each_once(found, mine, same)
    )
    every = [NOBODY if one.rows is None else one.rows for one in requests]
    again = len(np.intersect1d(rows, np.concatenate([NOBODY, *every])))
    before = [one for one in found if one.source != "list" and one.of_this_model]
    number = len(_each_once(before, mine, same))
    return Earlier(requests, tuple(np.setdiff1d(one, rows) for one in every), again, number)


def _of_lists(
    config: Config, source: Checkpoint, ids: Sequence[str], own: Sequence[Entry],
    mine: str | None, progress: Progress,
) -> list[Request]:  # fmt: skip
    """Return the requests of `--forgotten`.

    A file is left out if runs of this model forgot all of its IDs: it adds no request.
    """
    place = {name: row for row, name in enumerate(ids)} if config.forgotten else {}
    found = []
    for path in config.forgotten:
        if path == NONE:
            continue
        if path.lower() == NONE and not Path(path).exists():
            raise RequestError(f"--forgotten {path}: there is no such file", "did you mean none?")
        one = forget_list.read(path, ids, "list of --forgotten")
        for remark in one.remarks:
            progress.warn(remark)
        of_runs = np.unique(np.concatenate([NOBODY, *(run.rows(one.ids) for run in own)]))
        digest = digest_of(one, source)
        if digest != mine and len(of_runs) == len(one.ids):
            continue
        known = np.array(sorted(place[name] for name in one.ids if name in place), np.int64)
        found.append(Request("list", digest, len(one.ids), known))
    return found


def _of_entry(
    where: Literal["ledger", "process"], entry: Entry, ids: Sequence[str], chain: set[str]
) -> Request:
    return Request(
        where, entry.forget_list, len(entry.ids), entry.rows(ids), entry.created,
        entry.output in chain,
    )  # fmt: skip


def _each_once(
    found: Sequence[Request], mine: str | None, same: Mapping[tuple[int | None, bytes], object]
) -> tuple[Request, ...]:
    """Return one request per list, with the samples of all its runs; the model's own first.

    Two lists are one if they have the same digest, or as many IDs and the same samples in the data:
    the order of a list has no meaning. An earlier run on the forget list itself is no earlier
    request, unless it was named as one.

    Args: same, the digest of the forget list by its number of IDs and their rows.
    """
    kept: dict[object, Request] = {}
    places = dict(same)
    for one in sorted(found, key=lambda one: not one.of_this_model):
        key: object = object() if one.sha256 is None else one.sha256
        if one.rows is not None and len(one.rows):
            place = places.setdefault((one.count, one.rows.tobytes()), key)
            key = key if key in kept else place
        if key in kept:
            kept[key] = _joined(kept[key], one)
        elif one.source == "list" or key != mine:
            kept[key] = one
    return tuple(kept.values())


def _joined(one: Request, other: Request) -> Request:
    """Return a request with the samples of both: --with-copies adds some that are on no list."""
    if one.rows is None or other.rows is None:  # the digest is enough to know the samples
        named = one if other.rows is None else other
        return replace(named, of_this_model=one.of_this_model)
    count = max(one.count or 0, other.count or 0)
    last = other if other.of_this_model and other.source != "list" else one
    return replace(
        one, sha256=last.sha256, count=count, rows=np.union1d(one.rows, other.rows),
        created=one.created or other.created,
    )  # fmt: skip


def recorded_runs(config: Config, until: datetime | None = None) -> tuple[Entry, ...]:
    """Return the runs of the ledger before `until`; none if it does not exist yet.

    Raises:
        RequestError: the ledger cannot be read or was changed.
    """
    if config.ledger is None or not is_present(Path(config.ledger).resolve()):
        return ()
    entries = ledger.read(config.ledger)
    folders = dict.fromkeys(Path(one).parent for one in (config.ledger, config.model) if one)
    ledger.refuse_changed(entries, folders, config.ledger)
    return tuple(one for one in entries if until is None or one.created < until)


def of_process(chain: set[str], recorded: Sequence[Entry]) -> list[Entry]:
    """Return runs of this process in the chain of the model that the ledger does not hold."""
    known = {one.output for one in recorded}
    return [one for one in _DONE if one.output in chain and one.output not in known]
