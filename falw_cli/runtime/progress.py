"""The protocol through which all code below the command line reports to the user."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Where progress, notes and warnings go; `warnings` also reach the audit report."""

    warnings: list[str]

    def start(self, label: str, total: int) -> None:
        """Begin a stage of `total` steps; it ends with the last step, `end` or the next `start`."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Report that `steps` more are done; `detail` is shown beside the bar."""

    def end(self, reason: str = "") -> None:
        """End the stage before its last step."""

    def note(self, text: str) -> None:
        """Show a note."""

    def warn(self, text: str) -> None:
        """Show a warning, such as a fallback, that also belongs in the report."""


class Silent:
    """Shows nothing and records the warnings; for use from Python and in tests."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, label: str, total: int) -> None:
        """Nothing is shown."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Nothing is shown."""

    def end(self, reason: str = "") -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""

    def warn(self, text: str) -> None:
        """Keep the warning for the report."""
        self.warnings.append(text)
