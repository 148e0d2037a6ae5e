"""`falw bench`: what is missing is made, on all cores or GPUs; then the tables and plots."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from falw_cli import ranks
from falw_cli.bench import plan, plots, results
from falw_cli.bench.grid import Grid
from falw_cli.bench.jobs import Job, perform, prepare
from falw_cli.bench.plan import Entry, Lot
from falw_cli.bench.store import Store
from falw_cli.checkpoint import write_all
from falw_cli.errors import Interrupted, RequestError, RunError
from falw_cli.progress import Progress

POLL = 0.5
"""Seconds between two looks at what other machines have done."""
SUFFIX = {"models": ".json", "metrics": ".json", "cells": ".audit.json"}


@dataclass(frozen=True)
class Asked:
    """How a bench is run."""

    file: Path
    folder: Path
    jobs: int | None
    dry_run: bool


@dataclass(frozen=True)
class Machine:
    """This machine among those that share a bench's folder, one rank each; they talk through it."""

    rank: int = 0
    ranks: int = 1

    @classmethod
    def here(cls) -> Machine:
        """As torchrun or SLURM started it.

        Raises:
            RequestError: several ranks on a machine.
        """
        place = ranks.found()
        if place is None:
            return cls()
        if place.devices > 1:
            raise RequestError(
                f"a bench starts its own processes, and there are {place.devices} ranks a machine",
                "start one rank on each machine; --jobs says how many processes each has",
            )
        return cls(place.rank, place.ranks)

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until the other machines have done their share."""
        while self.ranks > 1 and not done():
            time.sleep(POLL)


@dataclass(frozen=True)
class Done:
    """What a bench made."""

    folder: Path
    rows: list[results.Row]
    failed: list[str]
    missing: dict[str, int]
    """Pieces of work that a dry run found missing, by kind."""


def bench(asked: Asked, progress: Progress) -> Done:
    """Run a bench, or go on with one.

    Raises:
        RequestError: the config does not fit together; nothing was trained.
        Interrupted: a signal came; the same command goes on.
    """
    config = plan.read(asked.file)
    entries = plan.entries(config)
    lots = list(plan.lots(config))
    searched = [entry for entry in entries if entry.search]
    probes = list(plan.search_lots(config)) if searched else []
    store = Store(asked.folder)
    here = Machine.here()
    grid = Grid(config, store)
    grid.check()
    stages = _stages(grid, lots, probes, entries)
    if asked.dry_run:
        wanted = sum(entry.wants(lot) for lot in lots for entry in entries)
        return Done(asked.folder, [], [], _missing(store, stages, wanted))
    here.wait_for(lambda: store.mark.exists() or here.rank == 0)
    if (told := store.open()) is not None:
        progress.warn(told)
    for lot in (*probes, *lots):
        grid.draw(lot)
    failed: list[str] = []
    with _workers(asked.jobs, config.device) as pool:
        for label, jobs in stages:
            failed += _run(pool, store, here, jobs, label, progress)
        rates = search(grid, probes, searched)
        cells = [
            grid.cell(lot, entry, rates.get((lot.dataset, lot.arch, entry.label)))
            for lot in lots
            for entry in entries
            if entry.wants(lot)
        ]
        failed += _run(pool, store, here, cells, "cells", progress)
    if here.rank:
        return Done(asked.folder, [], [], {})
    rows = results.collect(grid, lots, entries, rates)
    results.write(asked.folder, config, rows)
    plots.draw(asked.folder, rows)
    write_all({asked.folder / "bench.yaml": plan.dump(config).encode()})
    return Done(asked.folder, rows, failed, {})


def _stages(
    grid: Grid, lots: list[Lot], probes: list[Lot], entries: list[Entry]
) -> list[tuple[str, list[Job]]]:
    """Everything before the scored cells, in an order in which each finds what it needs."""
    everywhere = [*probes, *lots]
    models = [job for lot in everywhere for job in (grid.original(lot), *grid.references(lot))]
    judged = [job for lot in everywhere for job in grid.judgements(lot)]
    tried = [
        grid.cell(lot, entry, lr)
        for entry in entries
        if entry.search
        for lr in entry.rates(grid.bench.search)
        for lot in probes
    ]
    return [("nets", models), ("metrics", judged), ("search", tried)]


def search(
    grid: Grid, probes: list[Lot], entries: list[Entry]
) -> dict[tuple[str, str, str], float]:
    """The learning rate of each (dataset, arch, entry): that of the smallest Avg. Gap."""
    found: dict[tuple[str, str, str], float] = {}
    for lot in probes:
        for entry in entries:
            gaps = {}
            for lr in entry.rates(grid.bench.search):
                report = grid.store.load("cells", grid.cell(lot, entry, lr).name, ".audit.json")
                if report is not None:
                    gaps[lr] = report["metrics"]["after"]["avg_gap"]
            # Where every rate diverged the smallest will too, and says so in its cells.
            smallest = min(entry.rates(grid.bench.search))
            best = min(gaps, key=gaps.__getitem__, default=smallest)
            found[lot.dataset, lot.arch, entry.label] = best
    return found


def _missing(store: Store, stages: list[tuple[str, list[Job]]], cells: int) -> dict[str, int]:
    counts = {}
    for label, jobs in stages:
        names = {job.name: job for job in jobs}
        counts[label] = sum(not _there(store, job) for job in names.values())
    return {**counts, "cells at most": cells}


def _there(store: Store, job: Job) -> bool:
    return store.file(job.part, job.name, SUFFIX[job.part]).exists()


@contextmanager
def _workers(jobs: int | None, device: str) -> Iterator[ProcessPoolExecutor]:
    """Processes that work side by side: one a GPU, or one a core."""
    import torch

    gpus = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = jobs or gpus or cores or 1
    context = multiprocessing.get_context("spawn")
    devices = None
    if gpus:
        devices = context.Manager().Queue()
        for index in range(count):
            devices.put(f"cuda:{index % gpus}")
    threads = max(1, (cores or 1) // count)
    pool = ProcessPoolExecutor(count, context, initializer=prepare, initargs=(threads, devices))
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(
            "the bench was interrupted", "the same command goes on where it stopped", number
        )

    for number in old:
        signal.signal(number, stop)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for number, handler in old.items():
            signal.signal(number, handler)


def _settled(store: Store, job: Job) -> bool:
    """Is it done, or a cell that failed: the same run would fail the same way?"""
    failed = job.part == "cells" and store.file(job.part, job.name, ".error.json").exists()
    return failed or _there(store, job)


def _run(
    pool: ProcessPoolExecutor,
    store: Store,
    here: Machine,
    jobs: Iterable[Job],
    label: str,
    progress: Progress,
) -> list[str]:
    """Do this machine's share of what is missing, wait for the others', and tell what failed."""
    wanted = list({job.name: job for job in jobs}.values())
    mine = [job for job in wanted[here.rank :: here.ranks] if not _settled(store, job)]
    progress.start(label, len(mine))
    waiting = {pool.submit(perform, store, job): job for job in mine}
    while waiting:
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            job = waiting.pop(future)
            error = future.result()
            if error is not None and job.part != "cells":
                raise RunError(f"{job.label}: {error}", "mend that and run it again")
            progress.advance(1, job.label)
    here.wait_for(lambda: all(_settled(store, job) for job in wanted))
    undone = [job for job in wanted if not _there(store, job)]
    told = [(job.label, store.load(job.part, job.name, ".error.json")) for job in undone]
    return [f"{name}: {found['error']}" for name, found in told if found]
