"""`falw unlearn`."""

from __future__ import annotations

from falw_cli.cli.command import (
    AUDIT,
    CHECKPOINT,
    DATA,
    EARLIER,
    RUN,
    STEPS,
    UNSEEN,
    Call,
    command,
)  # fmt: skip

METHOD = (
    "method", "weighting", "tau", "target", "target_every", "retain_budget", "hyperparameters",
    "stop", "max_utility_loss",
)  # fmt: skip
TAKES = (
    "model", "forget", "no_retain", *EARLIER, *DATA, *UNSEEN, *CHECKPOINT, *METHOD, *STEPS, *RUN,
    "dry_run", "out", *AUDIT, "forgotten_gate", "html",
)  # fmt: skip


@command(
    "unlearn", TAKES, needs_model=True,
    example="falw unlearn model.safetensors --forget ids.txt",
)  # fmt: skip
def unlearn(call: Call) -> None:
    """Run the command."""
    config = call.config("unlearn")
    from falw_cli import api
    from falw_cli.cli import tables
    from falw_cli.cli.verdict import end, launch, print_verdict
    from falw_cli.runs.prepare import Paths
    from falw_cli.runtime.interrupt import listening

    launch(config)
    report = api.unlearn(config, progress=call.console, interrupt=listening())
    print_verdict(report, call.console)
    if call.as_json:
        call.console.document(report.model_dump(mode="json"))
    elif report.output is None:
        call.console.table(tables.plan(report))
        tail = sorted(report.forget.per_class.items(), key=lambda item: -item[1])
        call.console.table(tables.bars(dict(tail)))
    else:
        for table in tables.of_report(report):
            call.console.show(table)
        written = Paths.of(config).report
        call.console.note(f"report: {written} (as a page: falw report {written})")
        call.console.result(report.output.path)
    end(report, call.console)
