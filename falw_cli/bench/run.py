"""`falw bench`: what is missing is made, on all cores or GPUs; then the tables and plots."""

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
    """How a bench is run."""

    file: Path
    folder: Path
    jobs: int | None
    dry_run: bool


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
        counts[label] = sum(not there(store, job) for job in names.values())
    return {**counts, "cells at most": cells}
