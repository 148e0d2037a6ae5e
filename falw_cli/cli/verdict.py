"""The end of a command: verdict, gates and exit code of a report."""

from __future__ import annotations

import typer

from falw_cli.audit.report import Report
from falw_cli.audit.unseen import Level
from falw_cli.audit.verdict import verdict
from falw_cli.cli import tables
from falw_cli.cli.console import Console
from falw_cli.config.settings import Config
from falw_cli.runtime import ranks

STYLES: dict[Level, str] = {
    "good": "bold green", "mixed": "bold yellow", "bad": "bold red", "unknown": "bold",
}  # fmt: skip
"""Style of the headline by the level of the verdict."""


def launch(config: Config) -> None:
    """Start one process per device if several devices are requested, and exit with its code."""
    code = ranks.launch(config)
    if code is not None:
        raise typer.Exit(code)


def show_report(report: Report, console: Console, *, as_json: bool) -> None:
    """Print a report: verdict, tables and gates, or all of it as JSON; exit code as `end`."""
    print_verdict(report, console)
    if as_json:
        console.document(report.model_dump(mode="json"))
    else:
        for table in tables.of_report(report):
            console.table(table)
    end(report, console)


def end(report: Report, console: Console) -> None:
    """Print warnings that no message has named yet, and the gates; exit code 1 if one failed."""
    for text in report.warnings:
        if text not in console.warnings:
            console.note(f"note: {text}")
    for gate in report.gates:
        state = "passed" if gate.passed else "FAILED"
        console.note(f"gate {gate.expression}: {gate.shown}: {state}")
    if not report.passed and not ranks.follows():
        raise typer.Exit(1)


def print_verdict(report: Report, console: Console, of: str = "") -> None:
    """Print headline and findings; `of` is printed before the headline."""
    if report.metrics.after is not None:
        said = verdict(report)
        console.headline(f"{of}{said.headline}", STYLES[said.level])
        for point in said.points:
            console.note(f"  {point}")
