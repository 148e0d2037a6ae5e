"""Errors with a message, a hint and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class FalwError(Exception):
    """An error that ends the command with `exit_code` and two lines on stderr.

    `str(error)` states the problem; `hint` states the next action.
    """

    exit_code = 2
    single_rank = False
    """Whether only this one of several ranks knows about the error."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
        self.__notes__ = [f"hint: {hint}"]  # for the traceback of a Python program


class RequestError(FalwError):
    """An invalid request: a flag, a config, a file, an ID or a shape (exit code 2)."""


class RunError(FalwError):
    """A failed run: the loss diverged, or memory or disk space ran out (exit code 3)."""

    exit_code = 3


class DivergedError(RunError):
    """The loss is not finite: a smaller learning rate may help."""


class SingleRankError(RunError):
    """An error that only this one of several ranks knows about."""

    single_rank = True


class ReaderError(SingleRankError):
    """A process that reads samples ahead was killed, usually because memory ran out."""

    def __init__(self) -> None:
        super().__init__("a process that reads images was killed", "free some memory and run again")


class Interrupted(FalwError):  # noqa: N818 (nothing went wrong)
    """A signal ended the run; `--resume` continues a saved state (exit code 128 + signal)."""

    def __init__(self, message: str, hint: str, signal_number: int) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is most similar to `name`, or None if none is similar."""
    known = list(choices)
    same = [one for one in known if one.casefold() == name.casefold()]
    close = same or difflib.get_close_matches(name, known, n=1)
    return close[0] if close else None


def one_of(what: str, name: str, choices: Collection[str]) -> str:
    """Return the choice that a name means; case does not matter.

    Raises:
        RequestError: there is no such choice.
    """
    same = [one for one in choices if one.casefold() == name.casefold()]
    if name not in choices and not same:
        raise unknown_name(what, name, choices)
    return name if name in choices else same[0]


def unknown_name(
    what: str, name: str, choices: Iterable[str], hint: str | None = None
) -> RequestError:
    """Return the error for an unknown name; its hint has the nearest match and all choices."""
    known = sorted(choices)
    shown = ", ".join(known[:20]) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
    match = nearest(name, known)
    advice = f"did you mean {match!r}? " if match else ""
    return RequestError(f"unknown {what} {name!r}", hint or f"{advice}choose from: {shown}")
