"""The Typer app, and what was asked of a command."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from falw_cli import __version__

app = typer.Typer(
    name="falw",
    help="Make a trained image classifier forget a list of samples, and audit what it forgot.",
    epilog="Begin with `falw demo`: the whole story on small data, in under two minutes.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
COMMON = {"config_file", "json", "quiet", "verbose"}


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"falw {__version__}\n")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


def flags_of(context: typer.Context) -> dict[str, Any]:
    """What was given on the command line or in the environment, by flag name."""
    given = {k: v for k, v in context.params.items() if k not in COMMON}
    return {k: v for k, v in given.items() if v is not None and v not in ([], ())}
