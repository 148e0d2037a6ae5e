"""`falw report`: audit reports as HTML, Markdown or JUnit XML."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from falw_cli.audit.page import NamedReport, html, junit, markdown
from falw_cli.errors import RequestError, unknown_name
from falw_cli.runs.inspection import read_report
from falw_cli.runtime import outputs

FORMATS = {"html": (html, ".html"), "md": (markdown, ".md"), "junit": (junit, ".junit.xml")}
"""Writer and file suffix of each format."""


@dataclass(frozen=True)
class Asked:
    """Request to publish reports: files, format and output."""

    reports: list[Path]
    format: str
    out: str | None
    """A file, or - for stdout; default: beside the first report."""
    force: bool


def publish(asked: Asked) -> tuple[Path | None, str]:
    """Write the reports in the requested format.

    Returns:
        Path of the written file, or None for stdout; and its text.

    Raises:
        RequestError: an unknown format, a report that cannot be read, a file that exists.
        RunError: the file cannot be written.
    """
    if asked.format not in FORMATS:
        raise unknown_name("format", asked.format, FORMATS)
    write, suffix = FORMATS[asked.format]
    path = None
    if asked.out != "-":
        path = Path(asked.out) if asked.out else _beside(asked.reports, suffix)
        if path.resolve() in {report.resolve() for report in asked.reports}:
            raise RequestError(f"{path} is one of the reports", "name another file with --out")
        outputs.check_writable(path, force=asked.force)
    reports = [read_report(report) for report in asked.reports]
    names = _names(asked.reports)
    try:
        text = write([NamedReport(n, report) for n, report in zip(names, reports, strict=True)])
    except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise RequestError(
            f"{asked.reports[0]} is inconsistent: {error}",
            "run `falw verify` to check whether a report was changed",
        ) from error
    if path is not None:
        outputs.write_all({path: text.encode()})
    return path, text


def _beside(reports: list[Path], suffix: str) -> Path:
    first = reports[0]
    return first.with_suffix(suffix) if len(reports) == 1 else first.with_name("audits" + suffix)


def _names(reports: list[Path]) -> list[str]:
    """Return a name per report: its file name if that is unique, else its path."""
    short = [report.name.removesuffix(".json").removesuffix(".audit") for report in reports]
    count = Counter(short)
    names = [s if count[s] == 1 else str(r) for s, r in zip(short, reports, strict=True)]
    for name, often in Counter(names).items():
        if often > 1:
            raise RequestError(f"{name} is given {often} times", "give each report once")
    return names
