"""`falw verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section


class VerifySettings(Section):
    """What to verify, and how."""

    report: Annotated[Path, Flag("Options", argument=True)]
    """The audit report."""
    forget: Annotated[str | None, Flag("Options", environment=False)] = None
    """Forget list to compare with the digest in the report."""
    rerun: Annotated[bool, Flag("Options", environment=False)] = False
    """Measure again, and compare the metrics."""


@command(
    "verify",
    ("trust_code",),
    VerifySettings,
    example="falw verify model.unlearned.audit.json --rerun",
)
def verify(call: Call) -> None:
    """Run the command."""
    from falw_cli.cli import tables
    from falw_cli.cli.verdict import print_verdict
    from falw_cli.runs.verify import VerifyRequest
    from falw_cli.runs.verify import verify as run
    from falw_cli.runtime.interrupt import listening

    listening()
    own, trust = call.own, bool(call.given.get("trust_code"))
    found = run(VerifyRequest(own.report, own.forget, own.rerun, trust), call.console)
    checks = found.checks
    if call.as_json:
        call.console.document([asdict(check) for check in checks])
    else:
        call.console.table(tables.facts({one.name: one.problem or "unchanged" for one in checks}))
    if found.report is None:
        call.console.note(f"no verdict: the report {checks[0].problem}")
    else:
        figures = "figures measured again" if found.measured_again else "report's figures"
        print_verdict(found.report, call.console, f"verdict of the {figures}: ")
    if any(check.problem for check in checks):
        raise typer.Exit(1)
