"""The Typer app, and the handling of invalid usage."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from falw_cli.cli.command import PREFIX, app
from falw_cli.cli.console import Console
from falw_cli.errors import nearest
from falw_cli.version import __version__

COMMANDS = (
    "unlearn", "evaluate", "audit", "train", "forget_list", "inspect", "convert", "init", "doctor",
    "bench", "verify", "report", "schema", "demo",
)  # fmt: skip
"""Modules of `cli.commands`, in the order of `falw --help`; each registers its command."""
for _name in COMMANDS:
    import_module(f"falw_cli.cli.commands.{_name}")
UsageError: Any = typer.BadParameter.__mro__[1]  # click's or typer's, depending on typer's version


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"falw {__version__}\n")
        raise typer.Exit()


def _warn_of_environment(group: Any) -> None:
    """Warn about each FALW_ variable that no command reads."""
    known = {
        parameter.envvar.removeprefix(PREFIX)
        for command in group.commands.values()
        for parameter in command.params
        if parameter.envvar
    }
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and (own := name.removeprefix(PREFIX)) not in known:
            match = nearest(own, known)
            advice = f"; did you mean {PREFIX}{match}?" if match else ""
            Console().warn(f"no command reads the environment variable {name}{advice}")


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    _warn_of_environment(context.command)


def run(arguments: list[str]) -> int:
    """Run the app on arguments and return the exit code."""
    try:
        code = app(arguments, prog_name="falw", standalone_mode=False)
    except UsageError as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "falw"
        Console().error(_message(error), f"`{where} --help` shows the usage")
        return 2
    except (KeyboardInterrupt, typer.Abort):  # before the command has installed its signal handlers
        Console().error("interrupted", "nothing was written; run the command again")
        return 130
    return int(code or 0)


def _message(error: BaseException) -> str:
    """Return a usage error in one line, with the nearest option."""
    text = str(getattr(error, "format_message", lambda: error)())
    text = " ".join(text.split())
    context = getattr(error, "ctx", None)
    wrong = getattr(error, "option_name", None)
    if wrong and context:
        known = [
            name
            for parameter in context.command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
        ]
        match = nearest(wrong, known)
        return f"no such option: {wrong}" + (f" (did you mean {match}?)" if match else "")
    return text[:1].lower() + text[1:]
