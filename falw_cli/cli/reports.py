"""Commands about reports, the bench and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from falw_cli.cli import completion
from falw_cli.cli import options as o
from falw_cli.cli.session import session

app = typer.Typer()


@app.command(epilog="Example: falw bench sample_configs/bench-digits.yaml --out digits.bench")
def bench(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG", help="The bench's YAML; sample_configs/ holds some."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Work folder; default: NAME.bench here. A second run goes on."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Runs side by side; default: GPUs or cores.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, and count what is missing.")
    ] = False,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Measure methods x weightings over lists and seeds against Retrain; goes on where it ended."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import reports as do

        do.bench(config or config_file, folder, jobs, dry_run, console, as_json=json)


@app.command(epilog="Example: falw verify model.unlearned.audit.json --rerun")
def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="The audit report.")],
    forget: Annotated[
        str | None, typer.Option("--forget", help="The forget list: proves which one it was.")
    ] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Measure again, and compare.")] = False,
    trust_code: o.TrustCode = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Hold model, list, data and output against a report; exit 1 where they differ."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import reports as do

        asked = {"report": report, "forget": forget, "rerun": rerun, "trust_code": bool(trust_code)}
        do.verify(asked, console, as_json=json)


@app.command(epilog="Example: falw report model.unlearned.audit.json --open")
def report(
    reports: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT", help="Audit reports; several are set side by side."),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="html, md (a pull request's comment) or junit (gates for a CI).",
            autocompletion=completion.page,
        ),
    ] = "html",
    out: Annotated[
        str | None,
        typer.Option("--out", help="File to write, - for stdout; default: beside the report."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it when it is written.")] = False,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """A page that people read, of one audit report or of several; needs no network."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import reports as do

        asked = {"reports": reports, "format": format, "out": out, "open_it": open_it}
        do.report(asked, console, force=bool(force), as_json=json)


@app.command(epilog="Example: falw schema > audit.schema.json")
def schema(
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """The JSON schema of audit reports."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import reports as do

        do.schema(console)


@app.command(epilog="Example: falw demo")
def demo(
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """The whole story on scikit-learn's digits, into ./falw-demo, in under two minutes."""
    with session(quiet, verbose) as console:
        from falw_cli.cli import demo as story

        story.tell(Path("falw-demo"), bool(force), config_file, console, as_json=json)
