"""`falw evaluate`."""

from __future__ import annotations

from falw_cli.cli.command import AUDIT, CHECKPOINT, DATA, EARLIER, RUN, UNSEEN, Call, command


@command(
    "evaluate",
    ("model", "forget", "original", "no_retain", *EARLIER, *DATA, *UNSEEN, *CHECKPOINT, *RUN,
     *AUDIT),
    example="falw evaluate model.safetensors --forget ids.txt --gate 'avg_gap<=2'",
)  # fmt: skip
def evaluate(call: Call) -> None:
    """Run the command."""
    config = call.config("evaluate")
    from falw_cli import api
    from falw_cli.cli.verdict import launch, show_report
    from falw_cli.runtime.interrupt import listening

    launch(config)
    listening()
    report = api.evaluate(config, progress=call.console)
    show_report(report, call.console, as_json=call.as_json)
