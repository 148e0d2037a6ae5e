"""`falw demo`: a full example on distorted digits, which its network has to memorise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from falw_cli.audit.build import Invocation
from falw_cli.audit.report import Report
from falw_cli.cli import demo_data
from falw_cli.cli.console import Console
from falw_cli.config.resolution import resolve
from falw_cli.data.forget_list import draw_long_tail
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.evaluation.metrics import Metrics
from falw_cli.runs.unlearn import KnownMetrics, unlearn
from falw_cli.runtime import outputs
from falw_cli.runtime.extras import need
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.run import train

SETTINGS: dict[str, Any] = {
    "arch": "tiny-cnn", "data": "npz:train.npz", "heldout": "npz:unseen.npz",
    "train": {"epochs": 10, "batch_size": 32, "lr": 0.05},
}  # fmt: skip
SHARE, GAMMA = 0.1, 1.0
SEED = 4
"""Random seed; none of those that the data and the settings were chosen with (docs/demo.md)."""


@dataclass(frozen=True)
class Shown:
    """A run of `falw unlearn`: its name in the table, and its flags."""

    label: str
    flags: dict[str, Any]


RUNS = {
    "match": Shown("match, the default", {}),
    "finetune": Shown("fine-tuning", {"method": "finetune"}),
    "falw": Shown(
        "random labels, FaLW weights", {"method": "random-label", "weighting": "falw", "lr": 0.01}
    ),
}
"""Name of the files -> run; the first has no flags, so it is the default."""
NEXT = (
    "falw inspect forget.txt",
    "falw evaluate model.match.safetensors --original model.safetensors --forget forget.txt",
    "falw unlearn model.safetensors --forget forget.txt --method scrub",
)


def run_demo(
    folder: Path, force: bool, file: Path | None, console: Console, *, as_json: bool
) -> None:
    """Train, draw a list, retrain without it, unlearn in three ways, and compare.

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
    console.note(f"Data: {demo_data.HOW_MADE}.")
    reports = run_all(folder, SEED, file, console)
    if as_json:
        console.document({name: one.model_dump(mode="json") for name, one in reports.items()})
    else:
        _show(folder, reports, console)


def run_all(
    folder: Path, seed: int, file: Path | None, console: Console, *, page: bool = True
) -> dict[str, Report]:
    """Write all files of the demo, and return the report of each run.

    Args:
        folder: an existing folder.
        seed: random seed of the list, the trainings and the runs; the data are always the same.
        file: config to use in place of the demo's.
        console: shows the progress.
        page: whether to write the page of the default's report, if matplotlib is installed.
    """
    interrupt = Interrupt()
    interrupt.install()
    config, ids, model = (folder / n for n in ("falw.yaml", "forget.txt", "model.safetensors"))
    settings = f"# {demo_data.HOW_MADE}\n{yaml.safe_dump(SETTINGS, sort_keys=False)}"
    data = {folder / name: content for name, content in demo_data.files().items()}
    outputs.write_all({**data, config: settings.encode()})
    drawn = draw_long_tail(open_listing(f"npz:{folder / 'train.npz'}"), SHARE, GAMMA, seed)
    outputs.write_all({ids: drawn.encode()})
    chosen = file or config
    retrains = [folder / "retrain-a.safetensors", folder / "retrain-b.safetensors"]
    console.note("Train a network, then two more without the forget list, to compare with:")
    for number, out in enumerate([model, *retrains]):
        without = {"without": str(ids)} if number else {}
        flags = {"force": True, "seed": seed + number, "out": str(out), **without}
        train(resolve("train", flags, chosen), console, interrupt)
    reports: dict[str, Report] = {}
    known = None
    for name, run in RUNS.items():
        baseline = known is not None
        aim = ", for comparison" if baseline else ":"
        console.note(f"Unlearn the list by {run.label}{aim}")
        flags = {
            **run.flags, "model": str(model), "forget": str(ids), "force": True, "seed": seed,
            "reference": [str(retrain) for retrain in retrains],
            "out": str(folder / f"model.{name}.safetensors"),
            "html": page and name == "match" and _can_draw(console),
        }  # fmt: skip
        console.warnings.clear()
        # Warnings of a baseline advise its user, which the reader of the demo is not.
        progress = Silent() if baseline else console
        config_of_run = resolve("unlearn", flags, chosen)
        one = unlearn(config_of_run, progress, interrupt, Invocation.now(), known)
        reports[name] = one
        # Original and references are measured once, with the default: the others are baselines.
        known = known or KnownMetrics(one.metrics.before, (_present(one.metrics.reference),))
    return reports


def _can_draw(console: Console) -> bool:
    """Return whether the page can be drawn; print what is missing."""
    try:
        need("matplotlib", "report", "the report's page")
    except RequestError as error:
        console.note(f"{error}; {error.hint} adds it")
        return False
    return True


def _show(folder: Path, reports: dict[str, Report], console: Console) -> None:
    table = comparison(reports)
    console.table(table)
    console.picture(table, folder / "table.svg", "falw demo")
    for name, report in reports.items():
        old, gap = _gaps(report)
        if gap >= old:
            console.note(f"{RUNS[name].label}: no help here, gap {gap:.1f} instead of {old:.1f}")
    page = folder / "model.match.audit.html"
    if page.exists():
        console.note(f"Report of {RUNS['match'].label}: {page}")
    console.note(f"Everything is in {folder}. Three commands to try there (cd {folder}):")
    for command in NEXT:
        console.note(f"  {command}")


def comparison(reports: dict[str, Report]) -> Table:
    """Return the table of all models; its title is the result of the default."""
    default = reports["match"]
    found, count = default.metrics, default.forget.count
    old, gap = _gaps(default)
    title = f"match: from {old:.1f} to {gap:.1f} points away from a model that never saw the list"
    floor = "The gap in the last row is that between two retrained models."
    table = Table(
        title=title, title_justify="left", title_style="bold",
        caption=floor, caption_justify="left", caption_style="default",
    )  # fmt: skip
    table.add_column("accuracy, %")
    rest = default.inputs.data.count - count
    for heading in (f"the list\n({count})", f"the rest\n({rest})", "unseen", "gap to\nRetrain"):
        table.add_column(heading, justify="right")
    table.add_row("before", *_numbers(found.before), f"{old:.1f}", end_section=True)
    for name, report in reports.items():
        numbers = _numbers(report.metrics.after)
        table.add_row(RUNS[name].label, *numbers, f"{_gaps(report)[1]:.1f}")
    table.add_section()
    label = "Retrain: trained without the list"
    table.add_row(label, *_numbers(found.reference), f"{found.noise_floor or 0.0:.1f}")
    return table


def _gaps(report: Report) -> tuple[float, float]:
    """Return the Avg. Gap before and after."""
    before, after = (_present(m).avg_gap for m in (report.metrics.before, report.metrics.after))
    assert before is not None
    assert after is not None
    return before, after


def _present(one: Metrics | None) -> Metrics:
    """Return metrics that every run of the demo has."""
    assert one is not None
    return one


def _numbers(found: Metrics | None) -> list[str]:
    """Return the accuracies of a model as text."""
    one = _present(found)
    values = (one.forget_accuracy, one.retain_accuracy, one.test_accuracy)
    return ["–" if value is None else f"{value:.1f}" for value in values]
