"""`falw report`: audit reports as HTML, Markdown or JUnit XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from falw_cli.audit.page import NamedReport, html, junit, markdown
from falw_cli.errors import RequestError, one_of
from falw_cli.runs.inspection import read_report
from falw_cli.runtime import outputs

FORMATS = {"html": (html, ".html"), "md": (markdown, ".md"), "junit": (junit, ".junit.xml")}
"""Writer and file suffix of each format."""


def publish(
    reports: Sequence[Path], format: str, out: str | None, *, force: bool
) -> tuple[Path | None, str]:
    """Write the reports in the requested format.

    Args:
        reports: their files.
        format: a key of FORMATS.
        out: a file, or - for stdout; default: beside the first report.
        force: whether the file may exist.

    Returns:
        Path of the written file, or None for stdout; and its text.

    Raises:
        RequestError: an unknown format, a report that cannot be read, a file that exists.
        RunError: the file cannot be written.
    """
    write, suffix = FORMATS[one_of("format", format, FORMATS)]
    path = None
    if out != "-":
        beside = reports[0] if len(reports) == 1 else reports[0].with_name("audits.json")
        path = Path(out) if out else beside.with_suffix(suffix)
        if path.resolve() in {report.resolve() for report in reports}:
            raise RequestError(f"{path} is one of the reports", "name another file with --out")
        outputs.check_writable(path, force=force)
    pairs = zip(_names(reports), map(read_report, reports), strict=True)
    named = [NamedReport(name, report) for name, report in pairs]
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
    short = [report.name.removesuffix(".json").removesuffix(".audit") for report in reports]
    count = Counter(short)
    names = [s if count[s] == 1 else str(r) for s, r in zip(short, reports, strict=True)]
    for name, often in Counter(names).items():
        if often > 1:
            raise RequestError(f"{name} is given {often} times", "give each report once")
    return names
