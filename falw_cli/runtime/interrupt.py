"""Signals that end a run: in the step loop after the current step, elsewhere at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from falw_cli.errors import Interrupted


class Interrupt:
    """Records SIGINT or SIGTERM while the loop finishes its step.

    A second signal, or one outside the loop, ends the command at once.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._soft = False

    def install(self) -> None:
        """Handle this process's SIGINT and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def soft(self) -> Iterator[None]:
        """Inside the block, only record the first signal; the loop handles it."""
        self._soft = True
        try:
            yield
        finally:
            self._soft = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._soft and not self.signal_number:
            self.signal_number = number
            return
        name = signal.Signals(number).name
        raise Interrupted(f"ended by {name}", "no output was written; run again", number)


def listening() -> Interrupt:
    """Return an interrupt that handles this process's signals."""
    interrupt = Interrupt()
    interrupt.install()
    return interrupt
