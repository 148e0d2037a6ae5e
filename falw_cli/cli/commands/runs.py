"""unlearn, evaluate, audit, train: the config settled, the run called, its result shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from falw_cli.audit.report import Report
from falw_cli.audit.verdict import verdict
from falw_cli.cli import tables
from falw_cli.cli.console import Console
from falw_cli.config.settings import Config, resolve
from falw_cli.errors import RequestError
from falw_cli.runtime import ranks
from falw_cli.runtime.interrupt import listening

Flags = Mapping[str, Any]


def _launch(config: Config) -> None:
    """Where several devices are wanted, leave the work to a process for each."""
    code = ranks.launch(config)
    if code is not None:
        raise typer.Exit(code)


def train(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw train`."""
    config = resolve("train", flags, file)
    _launch(config)
    from falw_cli.training.run import train as run

    done = run(config, console, listening())
    if as_json:
        console.document(asdict(done))
        return
    unseen = f", held-out {done.heldout_accuracy:.2f} %" if done.heldout_accuracy else ""
    console.note(f"accuracy: retain {done.retain_accuracy:.2f} %{unseen}")
    console.result(done.path)


def unlearn(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw unlearn`."""
    others = {key: value for key, value in flags.items() if key != "settings"}
    if "settings" in flags:
        others["hyperparameters"] = _numbers(flags["settings"])
    config = resolve("unlearn", others, file)
    _launch(config)
    from falw_cli.audit.build import Occasion
    from falw_cli.runs.unlearn import unlearn as run

    report = run(config, console, listening(), Occasion.now())
    if as_json:
        console.document(report.model_dump(mode="json"))
    elif report.output is None:
        console.table(tables.plan(report))
        tail = sorted(report.forget.per_class.items(), key=lambda item: -item[1])
        console.table(tables.bars(dict(tail)))
    else:
        console.show(tables.metrics(report.metrics))
        console.result(report.output.path)
    _verdict(report, console)


def _numbers(settings: list[str]) -> dict[str, float]:
    """`--set NAME=NUMBER` taken apart."""
    found = {}
    for text in settings:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            raise RequestError(
                f"--set {text!r} is not NAME=NUMBER", "write it as: --set log_odds=1"
            ) from error
    return found


def evaluate(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw evaluate`."""
    config = resolve("evaluate", flags, file)
    _launch(config)
    from falw_cli.api import with_model
    from falw_cli.audit.build import Occasion
    from falw_cli.runs.evaluate import evaluate as run

    listening()
    report = run(with_model(config), console, Occasion.now())
    if as_json:
        console.document(report.model_dump(mode="json"))
    else:
        console.table(tables.metrics(report.metrics))
    _verdict(report, console)


def audit(
    flags: Flags, asked: Mapping[str, Any], file: Path | None, console: Console, *, as_json: bool
) -> None:
    """`falw audit`."""
    config = resolve("evaluate", flags, file)
    from falw_cli.audit.build import Occasion
    from falw_cli.shadow.run import Asked
    from falw_cli.shadow.run import audit as run

    listening()
    report = run(config, Asked(**asked), console, Occasion.now())
    if report is None:
        return
    if as_json:
        console.document(report.model_dump(mode="json"))
    else:
        console.table(tables.metrics(report.metrics))
        if report.per_sample:
            console.table(tables.per_sample(report.per_sample))
    _verdict(report, console)


def _verdict(report: Report, console: Console) -> None:
    if report.metrics.after is not None:
        said = verdict(report)
        headline = f"{said.headline}{':' if said.points else ''}"
        console.note("\n".join([headline, *(f"  {point}" for point in said.points)]))
    for gate in report.gates:
        state = "passed" if gate.passed else "FAILED"
        console.note(f"gate {gate.expression}: {gate.shown}: {state}")
    if not report.passed and not ranks.follows():
        raise typer.Exit(1)
