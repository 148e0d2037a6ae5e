"""`falw bench`: compute missing results on all cores or GPUs, then write tables and plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from falw_cli.bench import plan, plots, results
from falw_cli.bench.grid import Grid
from falw_cli.bench.jobs import Job
from falw_cli.bench.plan import Entry, Lot
from falw_cli.bench.pool import Machine, run, there, workers
from falw_cli.bench.store import Store
from falw_cli.runtime.extras import need
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Progress


@dataclass(frozen=True)
class Asked:
    """Request for a bench."""

    file: Path
    folder: Path
    jobs: int | None
    dry_run: bool


@dataclass(frozen=True)
class Done:
    """Result of a bench."""

    folder: Path
    rows: list[results.Row]
    failed: list[str]
    missing: dict[str, int]
    """Number of missing jobs by kind, from a dry run."""


def bench(asked: Asked, progress: Progress) -> Done:
    """Run a bench, or continue one.

    Raises:
        RequestError: the config is inconsistent; nothing was trained.
        Interrupted: a signal arrived; the same command continues the bench.
    """
    need("matplotlib", "report", "a bench's plots")
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
    with workers(asked.jobs, config.device) as pool:
        for label, jobs in stages:
            failed += run(pool, store, here, jobs, label, progress)
        rates = search(grid, probes, searched)
        cells = [
            grid.cell(lot, entry, rates.get((lot.dataset, lot.arch, entry.label)))
            for lot in lots
            for entry in entries
            if entry.wants(lot)
        ]
        failed += run(pool, store, here, cells, "cells", progress)
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
    """Return all jobs before the scored cells, in the order of their dependencies."""
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
    """Return the learning rate with the smallest Avg. Gap for each (dataset, arch, entry)."""
    found: dict[tuple[str, str, str], float] = {}
    for lot in probes:
        for entry in entries:
            gaps = {}
            for lr in entry.rates(grid.bench.search):
                report = grid.store.load("cells", grid.cell(lot, entry, lr).name, ".audit.json")
                if report is not None:
                    gaps[lr] = report["metrics"]["after"]["avg_gap"]
            # If every rate diverged, the smallest will diverge again, and its cells report that.
            smallest = min(entry.rates(grid.bench.search))
            best = min(gaps, key=gaps.__getitem__, default=smallest)
            found[lot.dataset, lot.arch, entry.label] = best
    return found


def _missing(store: Store, stages: list[tuple[str, list[Job]]], cells: int) -> dict[str, int]:
    counts = {}
    for label, jobs in stages:
        names = {job.name: job for job in jobs}
        counts[label] = sum(not there(store, job) for job in names.values())
    return {**counts, "cells at most": cells}
