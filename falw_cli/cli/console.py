"""All that a person sees: progress, notes, tables and errors. The result alone is on stdout."""

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
    """rich's console, but that a reader who has gone is no reason to exit with code 1."""

    def on_broken_pipe(self) -> None:
        """Leave it to whoever prints."""
        raise BrokenPipeError


class Console:
    """A `falw_cli.runtime.progress.Progress` on stderr, and the results on stdout.

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
        _open_streams()
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
            self._say(f"[dim]{_shown(label)}: {total} steps[/]")
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
                speed_estimate_period=1e9,  # the mean over the whole stage: looks come seldom
            )
            self._bar.add_task(_shown(label), total=total, detail="")
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
                self._say(f"[dim]{_shown(self._label)}: {seconds:.1f} s {_shown(detail)}[/]")
            self._total = 0

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def note(self, text: str) -> None:
        """See `Progress`."""
        if not self.quiet:
            self._say("\n".join(map(_shown, text.split("\n"))))

    def warn(self, text: str) -> None:
        """See `Progress`; a warning is shown even where notes are not."""
        self.warnings.append(text)
        if not self.rank:
            self._say(f"[yellow]warning:[/] {_shown(text)}")

    def result(self, text: str) -> None:
        """Lines of the result, on stdout: as they are, but harmless on a terminal."""
        if self.rank:
            return
        if sys.stdout.isatty():
            text = "\n".join(map(printable, text.split("\n")))
        with _writing():
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def document(self, value: object) -> None:
        """A result as JSON, on stdout: in ASCII, which no terminal acts on."""
        self.result(json.dumps(value, indent=2))

    def table(self, table: Table) -> None:
        """A table of the result, on stdout."""
        if not self.rank:
            with _writing():
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
            self._say(table)

    def error(self, message: str, hint: str) -> None:
        """Two lines on stderr: what is wrong, and what to do."""
        self.stop()
        whose = f"rank {self.rank}: " if self.rank else ""
        self._say(f"[red]error:[/] {whose}{_shown(message)}")
        self._say(f"[cyan]hint:[/] {_shown(hint)}")

    def _say(self, what: str | Table) -> None:
        """On stderr, as long as anybody listens there: a run does not end for want of a reader."""
        try:
            self.err.print(what)
        except OSError:
            self.quiet, self._bar = True, None
            self.err = Rich(file=io.StringIO())


def _shown(text: str) -> str:
    """A line as rich shows it: names and messages may come from anyone."""
    return escape(printable(text))


@contextmanager
def _writing() -> Iterator[None]:
    """Say why stdout cannot be written; that its reader has gone is no failure."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer
        raise RunError(
            f"stdout cannot be written: {error.strerror}", "files that were named are there"
        ) from error


def _open_streams() -> None:
    """Let stdout and stderr take any text, and be there even if the caller closed them.

    Lists are UTF-8 whatever the locale; a terminal gets what it can show.
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
