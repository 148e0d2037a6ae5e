"""`falw doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from falw_cli.cli.command import Call, command


@command("doctor", example="falw doctor")
def doctor(call: Call) -> None:
    """Run the command."""
    from falw_cli.cli import tables
    from falw_cli.cli.doctor import examine

    found = examine(call.file)
    if call.as_json:
        call.console.document([asdict(one) for one in found])
    else:
        call.console.table(tables.findings(found))
    if any(one.state == "problem" for one in found):
        raise typer.Exit(1)
