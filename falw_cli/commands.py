"""What each command does: settle the config, call the room that does the work, show the result.

Rooms are imported after the config is settled: a mistyped flag need not wait for torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import typer

from falw_cli import ranks, tables
from falw_cli.audit.report import Report
from falw_cli.audit.verdict import verdict
from falw_cli.config import Config, resolve
from falw_cli.console import Console
from falw_cli.data import forget_list
from falw_cli.errors import RequestError, RunError, unknown_name
from falw_cli.training.interrupt import Interrupt

Flags = Mapping[str, Any]


def _interrupt() -> Interrupt:
    interrupt = Interrupt()
    interrupt.install()
    return interrupt


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

    done = run(config, console, _interrupt())
    if as_json:
        console.document(asdict(done))
        return
    unseen = f", held-out {done.heldout_accuracy:.2f} %" if done.heldout_accuracy else ""
    console.note(f"accuracy: retain {done.retain_accuracy:.2f} %{unseen}")
    console.result(done.path)


def draw_list(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw forget-list`."""
    mine = {"ratio", "count", "gamma", "class_name", "named"}
    config = resolve("forget-list", {k: v for k, v in flags.items() if k not in mine}, file)
    from falw_cli import samples

    listing = samples.open_source(config, "data")
    if named := flags.get("named"):
        if {"ratio", "count"} & set(flags):
            raise RequestError("--id names samples, --ratio and --count draw some", "give one")
        ids = [listing.ids[row] for row in forget_list.find(tuple(named), listing.ids)]
        console.document({"ids": ids}) if as_json else console.result("\n".join(ids))
        return
    available = np.bincount(listing.labels, minlength=len(listing.classes))
    if (name := flags.get("class_name")) is not None:
        if name not in listing.classes:
            raise unknown_name("class", name, listing.classes)
        available = np.where(np.array(listing.classes) == name, available, 0)
    total = _total(flags, int(available.sum()))
    gamma = float(flags.get("gamma", 1.0))
    if not 0 <= gamma <= 100:
        raise RequestError(f"--gamma is {gamma}", "take a number from 0 (balanced) to 100")
    sizes = forget_list.tail_sizes(available, total, gamma, config.seed)
    ids = [listing.ids[row] for row in forget_list.draw(listing.labels, sizes, config.seed)]
    if as_json:
        per_class = {c: int(n) for c, n in zip(listing.classes, sizes, strict=True) if n}
        console.document({"ids": ids, "per_class": per_class})
        return
    console.result("\n".join(ids))


def _total(flags: Flags, available: int) -> int:
    ratio: float | None = flags.get("ratio")
    total: int | None = flags.get("count")
    if (ratio is None) == (total is None):
        raise RequestError("give either --ratio or --count", "such as --ratio 0.1")
    if ratio is not None:
        if not 0 < ratio < 1:
            raise RequestError(f"--ratio is {ratio}", "take a share between 0 and 1, such as 0.1")
        total = max(1, round(ratio * available))
    assert total is not None
    if not 1 <= total <= available:
        raise RequestError(
            f"{total} samples are asked for, there are {available}", "ask for fewer, at least one"
        )
    return total


def unlearn(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw unlearn`."""
    others = {key: value for key, value in flags.items() if key != "settings"}
    if "settings" in flags:
        others["hyperparameters"] = _numbers(flags["settings"])
    config = resolve("unlearn", others, file)
    _launch(config)
    from falw_cli.api import occasion
    from falw_cli.unlearning.run import unlearn as run

    report = run(config, console, _interrupt(), occasion())
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
                f"--set {text!r} is not NAME=NUMBER", "write it so: --set prior_shift=2"
            ) from error
    return found


def evaluate(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw evaluate`."""
    config = resolve("evaluate", flags, file)
    _launch(config)
    from falw_cli.api import occasion, with_model
    from falw_cli.audit.evaluate import evaluate as run

    _interrupt()
    report = run(with_model(config), console, occasion())
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
    from falw_cli.api import occasion
    from falw_cli.shadow.run import Asked
    from falw_cli.shadow.run import audit as run

    _interrupt()
    report = run(config, Asked(**asked), console, occasion())
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
        value = "no value" if gate.value is None else f"{gate.value:.4g}"
        console.note(f"gate {gate.expression}: {value}: {'passed' if gate.passed else 'FAILED'}")
    if not report.passed and not ranks.follows():
        raise typer.Exit(1)


def convert(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw convert`."""
    config = resolve("convert", flags, file)
    from falw_cli.conversion import convert as run

    path = run(config)
    console.document({"path": str(path)}) if as_json else console.result(str(path))


def init(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw init`."""
    # What lies there is about to be written: it is no setting yet, unless a person names it.
    config = resolve("init", flags, file, find=False)
    from falw_cli.starting import init as run

    path = run(config)
    console.note("look at what it says, then: falw unlearn MODEL --forget ids.txt --dry-run")
    console.document({"path": str(path)}) if as_json else console.result(str(path))


def doctor(file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw doctor`."""
    from falw_cli.doctor import examine

    found = examine(file)
    if as_json:
        console.document([asdict(one) for one in found])
    else:
        console.table(tables.findings(found))
    if any(one.state == "problem" for one in found):
        raise typer.Exit(1)


def bench(
    file: Path | None,
    folder: Path | None,
    jobs: int | None,
    dry_run: bool,
    console: Console,
    *,
    as_json: bool,
) -> None:
    """`falw bench`."""
    if file is None:
        raise RequestError("no bench config is given", "name it: falw bench bench.yaml")
    from falw_cli.bench.run import Asked
    from falw_cli.bench.run import bench as run

    _interrupt()
    asked = Asked(file, folder or Path(f"{file.stem}.bench"), jobs, dry_run)
    done = run(asked, console)
    if dry_run:
        console.document(done.missing) if as_json else console.table(
            tables.facts({f"missing: {name}": count for name, count in done.missing.items()})
        )
        return
    if as_json:
        console.document(json.loads((done.folder / "results.json").read_text()))
    else:
        console.result(str(done.folder / "results.md"))
    if done.failed:
        first = done.failed[0]
        raise RunError(
            f"{len(done.failed)} cells failed, the others are in {done.folder}: {first}",
            "each has its NAME.error.json in cells/; remove it to try again",
        )


def verify(asked: Mapping[str, Any], console: Console, *, as_json: bool) -> None:
    """`falw verify`."""
    from falw_cli.audit.verify import Asked
    from falw_cli.audit.verify import verify as run

    _interrupt()
    checks = run(Asked(**asked), console)
    if as_json:
        console.document([asdict(check) for check in checks])
    else:
        console.table(tables.facts({one.name: one.problem or "as it was" for one in checks}))
    if any(check.problem for check in checks):
        raise typer.Exit(1)


def report(asked: Mapping[str, Any], console: Console, *, force: bool, as_json: bool) -> None:
    """`falw report`."""
    from falw_cli.audit.publish import Asked, publish

    show = asked["open_it"]
    path, text = publish(Asked(**{k: v for k, v in asked.items() if k != "open_it"}, force=force))
    if path is None:
        console.result(text.rstrip("\n"))
        return
    console.document({"path": str(path)}) if as_json else console.result(str(path))
    if show:
        typer.launch(path.resolve().as_uri())


def schema(console: Console) -> None:
    """`falw schema`."""
    console.document(Report.model_json_schema())


def inspect(path: str, flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw inspect`."""
    others = {key: value for key, value in flags.items() if key != "path"}
    config = resolve("inspect", others, file)
    from falw_cli.inspection import look

    facts = look(path, config)
    report = facts.pop("report", None)
    if as_json:
        console.document(report.model_dump(mode="json") if report else facts)
        return
    if report:
        facts |= tables.report_facts(report)
    per_class = facts.pop("per_class", None)
    console.table(tables.facts(facts))
    if report and report.metrics.after:
        console.table(tables.metrics(report.metrics))
    if per_class:
        console.table(tables.bars(per_class))
