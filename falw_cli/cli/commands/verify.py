"""`falw verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section
from falw_cli.errors import RequestError


class VerifySettings(Section):
    """What to verify, and how."""

    reports: Annotated[tuple[Path, ...], Flag("Options", argument=True)] = ()
    """The audit report; with --ledger, reports that do not lie beside it."""
    ledger: Annotated[Path | None, Flag("Options", environment=False)] = None
    """Ledger to verify: its lines, and the outputs and reports that are at hand."""
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
    from falw_cli.runs.verify import Verification, VerifyRequest
    from falw_cli.runs.verify import verify as run
    from falw_cli.runs.verify_ledger import verify_ledger
    from falw_cli.runtime.interrupt import listening

    listening()
    own, trust = call.own, bool(call.given.get("trust_code"))
    if own.ledger:
        if own.forget or own.rerun:
            raise RequestError(
                "--ledger cannot be combined with --forget or --rerun", "verify the report alone"
            )
        found = Verification(verify_ledger(own.ledger, own.reports), None, False)
    elif len(own.reports) == 1:
        found = run(VerifyRequest(own.reports[0], own.forget, own.rerun, trust), call.console)
    else:
        raise RequestError(
            f"{len(own.reports)} reports are given", "give one report, or --ledger FILE"
        )
    checks = found.checks
    if call.as_json:
        call.console.document([asdict(check) for check in checks])
    else:
        call.console.table(tables.facts({one.name: one.problem or one.state for one in checks}))
    if not own.ledger and found.report is None:
        call.console.note(f"no verdict: the report {checks[0].problem}")
    elif found.report is not None:
        figures = "figures measured again" if found.measured_again else "report's figures"
        print_verdict(found.report, call.console, f"verdict of the {figures}: ")
    if any(check.problem for check in checks):
        raise typer.Exit(1)
