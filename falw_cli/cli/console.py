"""Terminal output: results on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console as RichConsole
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

from falw_cli.errors import RunError
from falw_cli.runtime import ranks
from falw_cli.runtime.printable import printable


class Rich(RichConsole):
    """rich's console, which does not exit with code 1 on a broken pipe."""

    def on_broken_pipe(self) -> None:
        """Leave the error to the caller."""
        raise BrokenPipeError


class Console:
    """A `falw_cli.runtime.progress.Progress` on stderr, and the results on stdout.

    Bars appear only on a terminal; elsewhere each stage prints one line. rich honours NO_COLOR.
    """

    def __init__(self, *, quiet: bool = False, verbose: int = 0) -> None:
        """Args: quiet, print only errors, warnings and results; verbose, print more notes.

        Of several ranks, only the first prints; the others print at most errors.
        """
        self.warnings: list[str] = []
        place = ranks.detect()
        self.rank = place.rank if place else 0
        self.quiet = quiet or self.rank > 0
        self.verbose = verbose
        _open_streams()
        # Not emoji: a SPEC such as imagefolder:train:… would become a picture.
        self.err = Rich(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self.out = Rich(highlight=False, emoji=False)
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
            self._say(f"[dim]{safe(label)}: {total} steps[/]")
        if self.err.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=self.err,
                transient=True,
                refresh_per_second=4,
                speed_estimate_period=1e9,  # the mean over the whole stage: updates are rare
            )
            self._bar.add_task(printable(label), total=total, detail="")
            self._bar.start()

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """See `Progress`."""
        self._done += steps
        if self._bar:
            task = self._bar.tasks[0]
            shown = detail or task.fields["detail"]
            self._bar.update(task.id, advance=steps, detail=shown)
        if self._done >= self._total:
            self.end(detail)

    def end(self, reason: str = "") -> None:
        """See `Progress`."""
        self.stop()
        if self._total and not self.quiet:
            steps = f"{self._done} of {self._total} steps, " * (self._done < self._total)
            seconds = f"{time.perf_counter() - self._began:.1f} s"
            shown = "; ".join(filter(None, (steps + seconds, reason)))
            self._say(f"[dim]{safe(self._label)}: {safe(shown)}[/]")
        self._total = 0

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def note(self, text: str) -> None:
        """See `Progress`."""
        if not self.quiet:
            self._say("\n".join(map(safe, text.split("\n"))))

    def headline(self, text: str, style: str) -> None:
        """Show a note in a style of rich."""
        if not self.quiet:
            self._say(f"[{style}]{safe(text)}[/]")

    def warn(self, text: str) -> None:
        """See `Progress`; warnings are shown even if `quiet` is set."""
        self.warnings.append(text)
        if not self.rank:
            self._say(f"[yellow]warning:[/] {safe(text)}")

    def result(self, text: str) -> None:
        """Print lines of the result on stdout; on a terminal, without control characters."""
        if self.rank:
            return
        if sys.stdout.isatty():
            text = "\n".join(map(printable, text.split("\n")))
        with _writing():
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def document(self, value: object) -> None:
        """Print a result as JSON on stdout, in ASCII, without control characters."""
        self.result(json.dumps(value, indent=2))

    def table(self, table: Table) -> None:
        """Print a table of the result on stdout."""
        if not self.rank:
            with _writing():
                self.out.print(table)

    def picture(self, table: Table, path: Path, title: str) -> None:
        """Write the table as a self-contained SVG file."""
        canvas = Rich(record=True, file=io.StringIO(), width=80, force_terminal=True)
        canvas.print(table)
        # Without rich's web fonts, which a viewer would download.
        svg = re.sub(r"@font-face \{.*?\}", "", canvas.export_svg(title=title), flags=re.DOTALL)
        path.write_text(svg, encoding="utf-8")

    def show(self, table: Table) -> None:
        """Print a table that is not part of the result on stderr."""
        if not self.quiet:
            self._say(table)

    def error(self, message: str, hint: str) -> None:
        """Print two lines on stderr: the problem, and the next action."""
        self.stop()
        whose = f"rank {self.rank}: " if self.rank else ""
        self._say(f"[red]error:[/] {whose}{safe(message)}")
        self._say(f"[cyan]hint:[/] {safe(hint)}")

    def _say(self, what: str | Table) -> None:
        """Print on stderr; a closed stderr ends the output, but not the run."""
        try:
            self.err.print(what)
        except OSError:
            self.quiet, self._bar = True, None
            self.err = Rich(file=io.StringIO())


def safe(text: str) -> str:
    """Return text that is safe to print with rich: names and messages are untrusted."""
    return escape(printable(text))


@contextmanager
def _writing() -> Iterator[None]:
    """Report why stdout cannot be written; a broken pipe is left to the caller."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # drops buffered output
        raise RunError(
            f"stdout cannot be written: {error.strerror}", "redirect it; output files are written"
        ) from error


def _open_streams() -> None:
    """Make stdout and stderr accept any text, and replace them if the caller closed them.

    Lists are UTF-8 in every locale; on a terminal, unsupported characters are replaced.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            elif name == "stdout":
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
