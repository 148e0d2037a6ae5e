"""The Typer app, and the handling of invalid usage."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from falw_cli.cli.commands import COMMANDS
from falw_cli.cli.console import Console
from falw_cli.errors import nearest
from falw_cli.version import __version__

UsageError: Any = typer.BadParameter.__mro__[1]  # click's or typer's own, by typer's version

OUTPUTS = ("-o", "--out", "--output")
"""Options for the output in many programs."""
ON_STDOUT = ("forget-list", "inspect", "schema")
"""Commands whose output is what they print."""


class _PlainFlags:
    """A command whose help shows no Python type behind a flag or the name of an argument."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters."""
        found = super().get_params(ctx)  # type: ignore[misc]
        for one in found:
            if getattr(one, "is_flag", False) or getattr(one, "count", False):
                one.metavar = ""
            if one.param_type_name == "argument":
                one.display_type_rich = lambda ctx: ""
        return found


class PlainCommand(_PlainFlags, TyperCommand):
    """A command of the app."""


class Commands(_PlainFlags, TyperGroup):
    """The commands, each imported when it is called; the list of them needs no import."""

    listing = False
    """Whether names and help texts are enough."""

    def __init__(self, **settings: Any) -> None:
        """Args: as of TyperGroup."""
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name, or None."""
        if self.listing or cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        name = cmd_name.replace("-", "_")
        return getattr(import_module(f"falw_cli.cli.commands.{name}"), name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help without importing a command."""
        self.listing = True
        super().format_help(ctx, formatter)


app = typer.Typer(
    cls=Commands,
    name="falw",
    help="Make a trained image classifier forget a list of samples, and audit what it forgot.",
    epilog="Start with `falw demo`: a full example on small data, in about a minute.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"falw {__version__}\n")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Run the app on arguments and return the exit code."""
    # torch's threads would wait in busy loops, which slows down every other process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(arguments, prog_name="falw", standalone_mode=False)
    except UsageError as error:
        if not (message := _message(error)):  # without arguments: the help was printed
            return 2
        Console().error(message, _hint(error, arguments))
        return 2
    except (KeyboardInterrupt, typer.Abort):  # before the command has installed its signal handlers
        Console().error("interrupted", "nothing was written; run the command again")
        return 130
    return int(code or 0)


def _hint(error: BaseException, arguments: list[str]) -> str:
    """Return the next action after a usage error."""
    context: Any = getattr(error, "ctx", None)
    named = " ".join(("falw", *(one for one in arguments[:1] if one in COMMANDS)))
    hint = f"`{context.command_path if context else named} --help` shows the usage"
    wrong = getattr(error, "option_name", None) if context else None
    if wrong in OUTPUTS and context.info_name in ON_STDOUT:
        return f"the result goes to stdout: write `> FILE` at the end of the command; {hint}"
    epilog = (context.command.epilog or "") if context and not wrong else ""
    _, is_command, example = epilog.partition("Example: ")
    return f"an example is `{example}`; {hint}" if is_command else hint


def _message(error: BaseException) -> str:
    """Return a usage error in one line, with the nearest option."""
    text = str(getattr(error, "format_message", lambda: error)())
    text = " ".join(text.split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    wrong = getattr(error, "option_name", None)
    if wrong and context:
        known = [
            name
            for parameter in context.command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
            if name.startswith("--")
        ]
        match = _alike(wrong, known)
        return f"no such option: {wrong}" + (f" (did you mean {match}?)" if match else "")
    return text[:1].lower() + text[1:]


def _alike(wrong: str, known: list[str]) -> str | None:
    """Return the options that an unknown one may mean."""
    if wrong in OUTPUTS:
        return next((one for one in ("--out", "--report") if one in known), None)
    if wrong.replace("_", "-") == "--learning-rate" and "--lr" in known:
        return "--lr"
    if len(wrong) == len("-x"):
        return " or ".join(one for one in known if one.startswith(f"-{wrong}"))
    match = nearest(wrong.lstrip("-"), [name.lstrip("-") for name in known])
    return f"--{match}" if match else None
