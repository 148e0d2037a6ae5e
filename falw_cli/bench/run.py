"""`falw bench`: compute missing results on all cores or GPUs, then write tables and plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from falw_cli.bench import plan, plots, results
from falw_cli.bench.grid import Grid
from falw_cli.bench.jobs import Job
from falw_cli.bench.plan import Entry, Scenario
from falw_cli.bench.pool import Machine, is_stored, run, workers
from falw_cli.bench.store import Store
from falw_cli.runtime.extras import need
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Progress


@dataclass(frozen=True)
class BenchResult:
    """Result of a bench."""

    folder: Path
    rows: list[results.Row]
    failed: list[str]
    missing: dict[str, int]
    """Number of missing jobs by kind, from a dry run."""


def bench(
    file: Path, folder: Path, jobs: int | None, progress: Progress, *, dry_run: bool = False
) -> BenchResult:
    """Run a bench, or continue one.

    Args:
        file: the bench config.
        folder: the work folder.
        jobs: number of parallel runs; None is one per GPU or core.
        progress: receives progress and warnings.
        dry_run: whether only to count the missing runs.

    Raises:
        RequestError: the config is inconsistent; nothing was trained.
        Interrupted: a signal arrived; the same command continues the bench.
    """
    need("matplotlib", "report", "a bench's plots")
    config = plan.read(file)
    entries = plan.entries(config)
    scenarios = list(plan.scenarios(config))
    searched = [entry for entry in entries if entry.search]
    probes = list(plan.search_scenarios(config)) if searched else []
    store = Store(folder)
    here = Machine.here()
    grid = Grid(config, store)
    grid.check()
    stages = _stages(grid, scenarios, probes, entries)
    if dry_run:
        wanted = sum(entry.wants(scenario) for scenario in scenarios for entry in entries)
        return BenchResult(folder, [], [], _missing(store, stages, wanted))
    here.wait_for(lambda: store.mark.exists() or here.rank == 0)
    if (warning := store.open()) is not None:
        progress.warn(warning)
    for scenario in (*probes, *scenarios):
        grid.draw(scenario)
    failed: list[str] = []
    with workers(jobs, config.device) as pool:
        for label, stage in stages:
            failed += run(pool, store, here, stage, label, progress)
        rates = search(grid, probes, searched)
        cells = {
            (one, entry): grid.cell(one, entry, rates.get((one.dataset, one.arch, entry.label)))
            for one in scenarios for entry in entries if entry.wants(one)
        }  # fmt: skip
        failed += run(pool, store, here, cells.values(), "cells", progress)
    if here.rank:
        return BenchResult(folder, [], [], {})
    rows = results.collect(grid, cells)
    results.write(folder, config, rows)
    plots.draw(folder, rows)
    settings = config.model_dump(mode="json", exclude_defaults=True)
    write_all({folder / "bench.yaml": yaml.safe_dump(settings, sort_keys=False).encode()})
    return BenchResult(folder, rows, failed, {})


def _stages(
    grid: Grid, scenarios: list[Scenario], probes: list[Scenario], entries: list[Entry]
) -> list[tuple[str, list[Job]]]:
    """Return all jobs before the scored cells, in the order of their dependencies."""
    everywhere = [*probes, *scenarios]
    models = [
        job
        for scenario in everywhere
        for job in (grid.original(scenario), *grid.references(scenario))
    ]
    judged = [job for scenario in everywhere for job in grid.judgements(scenario)]
    tried = [
        grid.cell(scenario, entry, lr)
        for entry in entries
        if entry.search
        for lr in entry.rates(grid.bench.search)
        for scenario in probes
    ]
    return [("nets", models), ("metrics", judged), ("search", tried)]


def search(
    grid: Grid, probes: list[Scenario], entries: list[Entry]
) -> dict[tuple[str, str, str], float]:
    """Return the learning rate with the smallest Avg. Gap for each (dataset, arch, entry)."""
    found: dict[tuple[str, str, str], float] = {}
    for scenario in probes:
        for entry in entries:
            gaps = {}
            for lr in entry.rates(grid.bench.search):
                report = grid.store.load(
                    "cells", grid.cell(scenario, entry, lr).name, ".audit.json"
                )
                if report is not None:
                    gaps[lr] = report["metrics"]["after"]["avg_gap"]
            # If every rate diverged, the smallest will diverge again, and its cells report that.
            smallest = min(entry.rates(grid.bench.search))
            best = min(gaps, key=gaps.__getitem__, default=smallest)
            found[scenario.dataset, scenario.arch, entry.label] = best
    return found


def _missing(store: Store, stages: list[tuple[str, list[Job]]], cells: int) -> dict[str, int]:
    counts = {}
    for label, jobs in stages:
        names = {job.name: job for job in jobs}
        counts[label] = sum(not is_stored(store, job) for job in names.values())
    return {**counts, "cells at most": cells}
