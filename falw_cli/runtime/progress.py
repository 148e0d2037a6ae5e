"""How the rooms below `main` speak to a person: through this small protocol, never by printing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Where progress, notes and warnings go; `warnings` also reach the audit report."""

    warnings: list[str]

    def start(self, label: str, total: int) -> None:
        """A stage of `total` steps begins; it ends with the last step or the next `start`."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """`steps` more of the stage are done; `detail` is shown beside the bar."""

    def note(self, text: str) -> None:
        """Something worth a line now."""

    def warn(self, text: str) -> None:
        """Something that a reader of the report must know: a fallback, a doubt."""


class Silent:
    """Says nothing and remembers the warnings: for use from Python and in tests."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, label: str, total: int) -> None:
        """Nothing is shown."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""

    def warn(self, text: str) -> None:
        """Keep the warning for the report."""
        self.warnings.append(text)
