"""`falw verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section
from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from falw_cli.audit.report import Report


class VerifySettings(Section):
    """What to verify, and how."""

    reports: Annotated[tuple[Path, ...], Flag("Options", argument=True)] = ()
    """The audit report; with --ledger, reports that do not lie beside it."""
    ledger: Annotated[Path | None, Flag("Options", environment=False)] = None
    """Ledger to verify: its lines, and the outputs and reports that are at hand."""
    forget: Annotated[str | None, Flag("Options", environment=False, names="path")] = None
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
    figures = "figures measured again" if found.measured_again else "report's figures"
    if found.measured_again and found.report and found.report.per_sample:
        figures += ", and of the report's per_sample, which was not checked"
    missing = None if own.ledger or found.report else f"no verdict: the report {checks[0].problem}"
    if call.as_json:
        said = [] if own.ledger else [_verdict(found.report, missing, figures)]
        call.console.document([*map(asdict, checks), *said])
    else:
        call.console.table(tables.facts({one.name: one.problem or one.state for one in checks}))
    if own.ledger:
        call.console.note(
            "lines that were removed at the end are found only by their reports, if these lie "
            "beside the ledger or are given"
        )
    if missing:
        call.console.note(missing)
    elif found.report is not None:
        print_verdict(found.report, call.console, f"verdict of the {figures}: ")
    if any(check.problem for check in checks):
        raise typer.Exit(1)


def _verdict(report: Report | None, missing: str | None, figures: str) -> dict[str, Any]:
    """Return the verdict as an entry beside the checks: its `state` is the headline."""
    from falw_cli.audit.verdict import verdict

    said = asdict(verdict(report)) | {"figures": figures} if report else {}
    return {"name": "verdict", "problem": missing, "state": said.pop("headline", None), **said}
