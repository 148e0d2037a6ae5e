"""bench, verify, report, schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from falw_cli.audit.report import Report
from falw_cli.cli import tables
from falw_cli.cli.console import Console
from falw_cli.errors import RequestError, RunError
from falw_cli.runtime.interrupt import listening


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

    listening()
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
    from falw_cli.runs.verify import Asked
    from falw_cli.runs.verify import verify as run

    listening()
    checks = run(Asked(**asked), console)
    if as_json:
        console.document([asdict(check) for check in checks])
    else:
        console.table(tables.facts({one.name: one.problem or "as it was" for one in checks}))
    if any(check.problem for check in checks):
        raise typer.Exit(1)


def report(asked: Mapping[str, Any], console: Console, *, force: bool, as_json: bool) -> None:
    """`falw report`."""
    from falw_cli.runs.publish import Asked, publish

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
