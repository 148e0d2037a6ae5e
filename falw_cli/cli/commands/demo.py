"""`falw demo`."""

from __future__ import annotations

from pathlib import Path

from falw_cli.cli.command import Call, command


@command("demo", ("force",), example="falw demo")
def demo(call: Call) -> None:
    """Run the command."""
    from falw_cli.cli import demo as story

    story.run_demo(
        Path("falw-demo"),
        bool(call.given.get("force")),
        call.file,
        call.console,
        as_json=call.as_json,
    )
