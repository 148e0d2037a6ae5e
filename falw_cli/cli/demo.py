"""`falw demo`: a full example on scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from falw_cli.audit.build import Invocation
from falw_cli.audit.report import Report
from falw_cli.cli import tables
from falw_cli.cli.console import Console
from falw_cli.config.resolution import resolve
from falw_cli.data.forget_list import draw_long_tail
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.evaluation.metrics import AllMetrics
from falw_cli.runs.unlearn import unlearn
from falw_cli.runtime import outputs
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.training.run import train

SETTINGS: dict[str, Any] = {
    "arch": "tiny-cnn", "data": "digits", "heldout": "digits", "train": {"epochs": 15, "lr": 0.1},
}  # fmt: skip
SHARE, GAMMA = 0.25, 1.0
SEED = 4
"""Random seed; none of those that the defaults were searched with."""
RUNS: dict[str, dict[str, Any]] = {
    "falw": {"method": "random-label", "weighting": "falw", "lr": 0.01},
    "match": {},
}
"""Column -> flags of `falw unlearn`; {} is the default method."""
NEXT = (
    "falw inspect forget.txt",
    "falw evaluate model.match.safetensors --forget forget.txt --gate 'retain_accuracy>=90'",
    "falw unlearn model.safetensors --forget forget.txt --method gradient-ascent",
)


def run_demo(
    folder: Path, force: bool, file: Path | None, console: Console, *, as_json: bool
) -> None:
    """Train, draw a list, retrain without it, unlearn by FaLW and by the default, and compare.

    All files are written to `folder`; the table goes to stdout and `table.svg`.
    """
    if folder.exists() and not force:
        raise RequestError(f"{folder} exists", "remove it, or replace its files with --force")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{folder} cannot be created: {error.strerror}", "run it in a folder you can write"
        ) from error
    reports = _run_all(folder, file, console)
    if as_json:
        console.document({name: one.model_dump(mode="json") for name, one in reports.items()})
    else:
        _show(folder, reports, console)


def _run_all(folder: Path, file: Path | None, console: Console) -> dict[str, Report]:
    """Write all files of the demo, and return the report of each run."""
    interrupt = Interrupt()
    interrupt.install()
    config = folder / "falw.yaml"
    settings = yaml.safe_dump(SETTINGS, sort_keys=False)
    ids = folder / "forget.txt"
    drawn = draw_long_tail(open_listing("digits"), SHARE, GAMMA, SEED)
    outputs.write_all({config: settings.encode(), ids: drawn.encode()})
    chosen = file or config
    model = folder / "model.safetensors"
    retrains = [folder / "retrain-a.safetensors", folder / "retrain-b.safetensors"]
    common: dict[str, Any] = {"force": True, "seed": SEED}
    train(resolve("train", {**common, "out": str(model)}, chosen), console, interrupt)
    for number, retrain in enumerate(retrains, 1):
        without = {**common, "out": str(retrain), "without": str(ids), "seed": SEED + number}
        train(resolve("train", without, chosen), console, interrupt)
    reports = {}
    for name, settings_of_run in RUNS.items():
        flags = {
            **common, **settings_of_run, "model": str(model), "forget": str(ids),
            "reference": [str(retrain) for retrain in retrains],
            "out": str(folder / f"model.{name}.safetensors"),
        }  # fmt: skip
        console.warnings.clear()
        reports[name] = unlearn(
            resolve("unlearn", flags, chosen), console, interrupt, Invocation.now()
        )
    return reports


def _show(folder: Path, reports: dict[str, Report], console: Console) -> None:
    first = next(iter(reports.values())).metrics
    models = {"before": first.before, **{name: r.metrics.after for name, r in reports.items()}}
    present = {name: metrics for name, metrics in models.items() if metrics}
    found = AllMetrics(
        before=first.before, after=None, reference=first.reference, noise_floor=first.noise_floor
    )
    count = next(iter(reports.values())).forget.count
    title = f"{count} digits forgotten: FaLW on random labels, and match"
    table = tables.side_by_side(present, found, title)
    console.table(table)
    console.picture(table, folder / "table.svg", "falw demo")
    console.note(f"\nEverything is in {folder}. Three commands to try there (cd {folder}):")
    for command in NEXT:
        console.note(f"  {command}")
