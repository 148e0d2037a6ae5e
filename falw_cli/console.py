"""All that a person sees: progress, notes, tables and errors. The result alone is on stdout."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path

from rich.console import Console as Rich
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from falw_cli import ranks


class Console:
    """A `falw_cli.progress.Progress` on stderr, and the results on stdout.

    Bars are drawn on a terminal alone; elsewhere each stage leaves one line. rich honours
    NO_COLOR.
    """

    def __init__(self, *, quiet: bool = False, verbose: int = 0) -> None:
        """Args: quiet, errors and results alone; verbose, more notes.

        Of several ranks the first one speaks; the others have errors to tell at the most.
        """
        self.warnings: list[str] = []
        place = ranks.found()
        self.rank = place.rank if place else 0
        self.quiet = quiet or self.rank > 0
        self.verbose = verbose
        self.err = Rich(stderr=True, highlight=False, soft_wrap=True)
        self.out = Rich(highlight=False)
        self._bar: Progress | None = None
        self._label, self._total, self._done, self._began = "", 0, 0, 0.0

    def start(self, label: str, total: int) -> None:
        """See `Progress`."""
        self.stop()
        self._label, self._total, self._done = label, total, 0
        self._began = time.perf_counter()
        if self.quiet or not total:
            return
        if self.verbose:
            self.err.print(f"[dim]{escape(label)}: {total} steps[/]")
        if self.err.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
                console=self.err,
                transient=True,
            )
            self._bar.add_task(escape(label), total=total, detail="")
            self._bar.start()

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """See `Progress`."""
        self._done += steps
        if self._bar:
            task = self._bar.tasks[0]
            shown = detail or task.fields["detail"]
            self._bar.update(task.id, advance=steps, detail=shown)
        if self._total and self._done >= self._total:
            self.stop()
            if not self.quiet:
                seconds = time.perf_counter() - self._began
                self.err.print(f"[dim]{escape(self._label)}: {seconds:.1f} s {escape(detail)}[/]")
            self._total = 0

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def note(self, text: str) -> None:
        """See `Progress`."""
        if not self.quiet:
            self.err.print(escape(text))

    def warn(self, text: str) -> None:
        """See `Progress`; a warning is shown even where notes are not."""
        self.warnings.append(text)
        if not self.rank:
            self.err.print(f"[yellow]warning:[/] {escape(text)}")

    def result(self, text: str) -> None:
        """A line of the result, on stdout, as it is."""
        if self.rank:
            return
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def table(self, table: Table) -> None:
        """A table of the result, on stdout."""
        if not self.rank:
            self.out.print(table)

    def picture(self, table: Table, path: Path, title: str) -> None:
        """The table as an SVG file that needs nothing from anywhere."""
        canvas = Rich(record=True, file=io.StringIO(), width=80, force_terminal=True)
        canvas.print(table)
        # Without rich's web fonts: a monospace font is there already.
        svg = re.sub(r"@font-face \{.*?\}", "", canvas.export_svg(title=title), flags=re.DOTALL)
        path.write_text(svg, encoding="utf-8")

    def show(self, table: Table) -> None:
        """A table beside the result, on stderr."""
        if not self.quiet:
            self.err.print(table)

    def error(self, message: str, hint: str) -> None:
        """Two lines on stderr: what is wrong, and what to do."""
        self.stop()
        whose = f"rank {self.rank}: " if self.rank else ""
        self.err.print(f"[red]error:[/] {whose}{escape(printable(message))}")
        self.err.print(f"[cyan]hint:[/] {escape(printable(hint))}")


def printable(text: str) -> str:
    """One line without control characters: names and messages may come from anyone."""
    return "".join(c if c.isprintable() else " " for c in text)
