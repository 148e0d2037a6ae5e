"""`falw demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section


class Story(Section):
    """Settings of the demo."""

    force: Annotated[bool, Flag("Options", environment=False)] = False
    """Replace existing outputs."""


@command("demo", own=Story, example="falw demo")
def demo(call: Call) -> None:
    """Run the command."""
    from falw_cli.cli import demo as story

    story.tell(Path("falw-demo"), call.own.force, call.file, call.console, as_json=call.as_json)
