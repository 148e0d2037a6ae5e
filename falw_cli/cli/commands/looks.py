"""forget-list, inspect, convert, init, doctor: looked, and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import typer

from falw_cli.cli import tables
from falw_cli.cli.console import Console
from falw_cli.config.settings import resolve
from falw_cli.data import forget_list
from falw_cli.errors import RequestError, unknown_name

Flags = Mapping[str, Any]


def draw_list(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw forget-list`."""
    mine = {"ratio", "count", "gamma", "class_name", "named"}
    config = resolve("forget-list", {k: v for k, v in flags.items() if k not in mine}, file)
    from falw_cli.data import loading

    listing = loading.open_source(config, "data")
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


def inspect(path: str, flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw inspect`."""
    others = {key: value for key, value in flags.items() if key != "path"}
    config = resolve("inspect", others, file)
    from falw_cli.runs.inspection import look

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


def convert(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw convert`."""
    config = resolve("convert", flags, file)
    from falw_cli.models.conversion import convert as run

    path = run(config)
    console.document({"path": str(path)}) if as_json else console.result(str(path))


def init(flags: Flags, file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw init`."""
    # What lies there is about to be written: it is no setting yet, unless a person names it.
    config = resolve("init", flags, file, find=False)
    from falw_cli.cli.init_config import init as run

    path = run(config)
    console.note("look at what it says, then: falw unlearn MODEL --forget ids.txt --dry-run")
    console.document({"path": str(path)}) if as_json else console.result(str(path))


def doctor(file: Path | None, console: Console, *, as_json: bool) -> None:
    """`falw doctor`."""
    from falw_cli.cli.doctor import examine

    found = examine(file)
    if as_json:
        console.document([asdict(one) for one in found])
    else:
        console.table(tables.findings(found))
    if any(one.state == "problem" for one in found):
        raise typer.Exit(1)
