"""A command's course: its console, and two lines and an exit code for whatever goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from falw_cli.cli.console import Console
from falw_cli.errors import FalwError, ReaderError, RunError
from falw_cli.runtime import ranks


@contextmanager
def session(quiet: bool, verbose: int) -> Iterator[Console]:
    """The console of a command; errors inside become two lines and an exit code."""
    console = Console(quiet=quiet, verbose=verbose)
    try:
        yield console
    except BrokenPipeError as error:
        # The reader of stdout has gone (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        # torch's handler would raise once more, for the next reader that dies.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if ranks.lost(error) and ranks.launched():
            raise typer.Exit(3) from error  # the launcher tells of it
        told = error if isinstance(error, FalwError) else _unforeseen(error)
        if ranks.follows() and not told.own:
            # The first rank says it, and gives the exit code.
            raise typer.Exit(0 if told is error else 3) from error
        if verbose > 1:
            traceback.print_exc()
        console.error(str(told), told.hint)
        raise typer.Exit(told.exit_code) from error
    finally:
        console.stop()
        ranks.leave()


def _unforeseen(error: Exception) -> FalwError:
    """What a library raised, in a person's words."""
    if ranks.lost(error):
        return _own(RunError("another rank has gone; nothing was written", "it says why"))
    if "DataLoader worker" in str(error):  # torch raises it wherever the command is then
        return ReaderError()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _own(
            RunError(
                "memory ran out; nothing was written",
                "close what else uses it, take a smaller --batch-size, or another --device",
            )
        )
    told = f"{type(error).__name__}: {error}"
    return _own(RunError(told, "this is a fault of falw; -v -v shows where"))


def _own(error: RunError) -> RunError:
    error.own = True
    return error
