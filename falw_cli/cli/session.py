"""The context of a command: its console and its error handling."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from falw_cli.cli.console import Console
from falw_cli.errors import FalwError, ReaderError, RequestError, SingleRankError
from falw_cli.runtime import ranks


@contextmanager
def session(quiet: bool, verbose: int) -> Iterator[Console]:
    """Yield the console of a command; turn errors into two lines and an exit code."""
    console = Console(quiet=quiet, verbose=verbose)
    try:
        yield console
    except BrokenPipeError as error:
        # The reader of stdout has closed it (`| head`), which is not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if ranks.lost(error) and ranks.launched():
            raise typer.Exit(3) from error  # the launcher reports it
        failure = error if isinstance(error, FalwError) else _unexpected(error)
        if ranks.follows() and not failure.single_rank:
            # The first rank reports the error and sets the exit code.
            raise typer.Exit(0 if failure is error else 3) from error
        if verbose > 1:
            traceback.print_exc()
        console.error(str(failure), failure.hint)
        raise typer.Exit(failure.exit_code) from error
    finally:
        console.stop()
        ranks.leave()


def _unexpected(error: Exception) -> FalwError:
    """Turn an exception of a library into an error with a hint."""
    if ranks.lost(error):
        return SingleRankError("another rank has ended; nothing was written", "see its message")
    if "DataLoader worker" in str(error):
        return ReaderError()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return SingleRankError(
            "memory ran out; nothing was written",
            "close other programs, or choose a smaller --batch-size or another --device",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return RequestError(f"{error.filename}: {error.strerror}", "check the path")
    return SingleRankError(
        f"{type(error).__name__}: {error}",
        "this is a bug in falw; run with -v -v and report the traceback",
    )
