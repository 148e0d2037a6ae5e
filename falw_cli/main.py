"""`falw`: its commands, and what becomes of a request that is none."""

from __future__ import annotations

from typing import Any

import typer

# Each puts its commands into the app, which shows them in this order.
from falw_cli.cli import (  # noqa: F401  # isort: split
    looks,
    reports,
    runs,  # isort: split
)

from falw_cli.cli.app import app
from falw_cli.console import Console
from falw_cli.errors import nearest

UsageError: Any = typer.BadParameter.__mro__[1]  # click's or typer's own, by typer's version


def run(arguments: list[str]) -> int:
    """Run the app on some arguments and return the exit code."""
    try:
        code = app(arguments, prog_name="falw", standalone_mode=False)
    except UsageError as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "falw"
        Console().error(_message(error), f"`{where} --help` shows what it takes")
        return 2
    except (KeyboardInterrupt, typer.Abort):  # before the command listens to signals itself
        Console().error("interrupted", "nothing was written")
        return 130
    return int(code or 0)


def _message(error: BaseException) -> str:
    """A usage error in one line, with the nearest option or command."""
    text = str(getattr(error, "format_message", lambda: error)())
    text = " ".join(text.split())
    context = getattr(error, "ctx", None)
    wrong = getattr(error, "option_name", None)
    if wrong and context:
        known = [name for parameter in context.command.params for name in parameter.opts]
        match = nearest(wrong, known)
        return f"no such option: {wrong}" + (f" (did you mean {match}?)" if match else "")
    return text[:1].lower() + text[1:]
