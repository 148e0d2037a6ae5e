"""`falw audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from falw_cli.cli.command import AUDIT, DATA, MODEL, UNSEEN, Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Count, Section


class AuditSettings(Section):
    """Settings of the attack."""

    shadow: Annotated[int, Flag("Run", environment=False)] = 16
    """Number of shadow models to train, even (default 16)."""
    folder: Annotated[Path, Flag("Run", environment=False)] = Path("falw-shadows")
    """Folder of the shadow models; a second run reuses them (default falw-shadows)."""
    jobs: Annotated[Count | None, Flag("Run", environment=False)] = None
    """Number of parallel runs (default: number of GPUs or cores)."""
    dry_run: Annotated[bool, Flag("Run", environment=False)] = False
    """Show the estimated cost; train nothing."""


@command(
    "audit",
    (
        "model", "forget", "original", *DATA, *UNSEEN, *MODEL, "seed", "device", "precision",
        *AUDIT,
    ),
    AuditSettings, needs_model=True,
    example="falw audit model.unlearned.safetensors --forget ids.txt --shadow 16",
)  # fmt: skip
def audit(call: Call) -> None:
    """Run the command."""
    config, own = call.config("evaluate"), call.own
    from falw_cli.audit.build import Invocation
    from falw_cli.cli.verdict import show_report
    from falw_cli.runtime.interrupt import listening
    from falw_cli.shadow.run import AuditRequest
    from falw_cli.shadow.run import audit as run

    listening()
    request = AuditRequest(own.shadow, own.folder, own.jobs, own.dry_run)
    report = run(config, request, call.console, Invocation.now())
    if report is not None:
        show_report(report, call.console, as_json=call.as_json)
