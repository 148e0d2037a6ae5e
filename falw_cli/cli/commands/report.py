"""`falw report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section


class ReportSettings(Section):
    """What to write, and where."""

    reports: Annotated[tuple[Path, ...], Flag("Options", argument=True)]
    """Audit reports; several are shown side by side."""
    format: Annotated[str, Flag("Options", environment=False, choices=("html", "md", "junit"))] = (
        "html"
    )
    """html, md (for a pull request comment) or junit (verdict and gates for CI) (default html)."""
    out: Annotated[str | None, Flag("Options", environment=False, names="path")] = None
    """Output file; - is stdout (default: beside the report)."""
    open: Annotated[bool, Flag("Options", environment=False)] = False
    """Open the page after writing it."""


@command(
    "report", ("force",), ReportSettings, example="falw report model.unlearned.audit.json --open"
)
def report(call: Call) -> None:
    """Run the command."""
    from falw_cli.runs.publish import publish

    own, console, force = call.own, call.console, bool(call.given.get("force"))
    path, text = publish(own.reports, own.format, own.out, force=force, progress=console)
    if path is None:
        console.result(text.rstrip("\n"))
        return
    console.document({"path": str(path)}) if call.as_json else console.result(str(path))
    if own.open:
        typer.launch(path.resolve().as_uri())
