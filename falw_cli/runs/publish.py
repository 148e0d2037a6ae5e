"""`falw report`: audit reports as HTML, Markdown or JUnit XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from falw_cli.audit.junit import junit
from falw_cli.audit.page import NamedReport, display_name, html, markdown
from falw_cli.errors import RequestError, one_of
from falw_cli.runs.inspection import read_report
from falw_cli.runtime import outputs
from falw_cli.runtime.progress import Progress

FORMATS = {
    "html": (html, ".html", (".html", ".htm")),
    "md": (markdown, ".md", (".md", ".markdown", ".txt")),
    "junit": (junit, ".junit.xml", (".xml",)),
}
"""Writer, default suffix and possible suffixes of each format."""


def _other_format(path: Path, possible: tuple[str, ...]) -> str:
    """Return the hint for a path whose suffix is not one of its format."""
    named = [key for key, (_, _, ends) in FORMATS.items() if path.suffix.lower() in ends]
    return f"use {possible[0]}" + "".join(f", or give --format {one}" for one in named)


def publish(
    reports: Sequence[Path],
    format: str,
    out: str | None,
    *,
    force: bool,
    progress: Progress | None = None,
) -> tuple[Path | None, str]:
    """Write the reports in the requested format.

    Args:
        reports: their files.
        format: a key of FORMATS.
        out: a file, or - for stdout; default: beside the first report.
        force: whether the file may exist.
        progress: receives warnings.

    Returns:
        Path of the written file, or None for stdout; and its text.

    Raises:
        RequestError: an unknown format, a report that cannot be read, a file that exists or has a
            suffix of another format.
        RunError: the file cannot be written.
    """
    write, suffix, possible = FORMATS[one_of("format", format, FORMATS)]
    path = None
    if out != "-":
        beside = reports[0] if len(reports) == 1 else reports[0].with_name("audits.json")
        path = Path(out) if out else beside.with_suffix(suffix)
        if path.resolve() in {report.resolve() for report in reports}:
            raise RequestError(f"{path} is one of the reports", "name another file with --out")
        if path.suffix and path.suffix.lower() not in possible:
            raise RequestError(
                f"{path} has a suffix of another format than {format}",
                _other_format(path, possible),
            )
        outputs.check_writable(path, force=force)
    named = [
        NamedReport(name, read_report(report, progress))
        for name, report in zip(_names(reports), reports, strict=True)
    ]
    try:
        text = write(named)
    except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise RequestError(
            f"{reports[0]} is inconsistent: {error}",
            "run `falw verify` to check whether a report was changed",
        ) from error
    if path is not None:
        outputs.write_all({path: text.encode()})
    return path, text


def _names(reports: Sequence[Path]) -> list[str]:
    """Return a name per report: its file name if that is unique, else its path."""
    short = [display_name(report) for report in reports]
    count = Counter(short)
    names = [s if count[s] == 1 else str(r) for s, r in zip(short, reports, strict=True)]
    for name, often in Counter(names).items():
        if often > 1:
            raise RequestError(f"{name} is given {often} times", "give each report once")
    return names
