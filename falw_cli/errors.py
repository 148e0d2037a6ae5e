"""What can go wrong, in a person's words: each error knows its exit code and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FalwError(Exception):
    """An error that ends the command with `exit_code` and two lines on stderr.

    `str(error)` is what is wrong; `hint` is what to do about it.
    """

    exit_code = 2
    own = False
    """Of several ranks, does this one alone know of it?"""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class RequestError(FalwError):
    """The request is wrong: a flag, a config, a file, an ID, a shape (exit code 2)."""


class RunError(FalwError):
    """The run failed: the loss diverged, memory or disk ran out (exit code 3)."""

    exit_code = 3


class DivergedError(RunError):
    """The loss is not finite: a smaller learning rate may do."""


class ReaderError(RunError):
    """A process that reads samples ahead has gone, most often for want of memory."""

    own = True

    def __init__(self) -> None:
        super().__init__("a process that reads images was killed", "is memory short? run again")


class Interrupted(FalwError):  # noqa: N818 (nothing went wrong)
    """A signal ended the run; its state lies where `--resume` finds it (exit code 128 + signal)."""

    def __init__(self, message: str, hint: str, signal_number: int) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that `name` was most likely meant to be, or None."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return close[0] if close else None


def unknown_name(
    what: str, name: str, choices: Iterable[str], hint: str | None = None
) -> RequestError:
    """The error for a name outside a known set: it lists the set and the nearest match."""
    known = sorted(choices)
    shown = ", ".join(known[:20]) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
    match = nearest(name, known)
    advice = f"did you mean {match!r}? " if match else ""
    return RequestError(f"unknown {what} {name!r}", hint or f"{advice}choose from: {shown}")
