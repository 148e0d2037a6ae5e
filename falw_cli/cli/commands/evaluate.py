"""`falw evaluate`."""

from __future__ import annotations

from falw_cli.cli.command import AUDIT, DATA, MODEL, RUN, Call, command


@command(
    "evaluate", ("model", "forget", *DATA, *MODEL, *RUN, *AUDIT),
    example="falw evaluate model.safetensors --forget ids.txt --gate 'avg_gap<=2'",
)  # fmt: skip
def evaluate(call: Call) -> None:
    """Run the command."""
    config = call.config("evaluate")
    from falw_cli import api
    from falw_cli.cli import tables
    from falw_cli.cli.verdict import launch, show_verdict
    from falw_cli.runtime.interrupt import listening

    launch(config)
    listening()
    report = api.evaluate(config, progress=call.console)
    if call.as_json:
        call.console.document(report.model_dump(mode="json"))
    else:
        call.console.table(tables.metrics(report.metrics))
    show_verdict(report, call.console)
