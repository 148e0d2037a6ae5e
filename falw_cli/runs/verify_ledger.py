"""`falw verify --ledger`: check that a ledger, and the outputs that it names, are unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from falw_cli.data import ledger
from falw_cli.data.ledger import Entry
from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files
from falw_cli.models.checkpoint import sha256
from falw_cli.runs.inspection import read_report
from falw_cli.runs.verify import Check
from falw_cli.runtime.printable import counted

ABSENT = "not at hand"


def verify_ledger(path: Path, given: Sequence[Path] = ()) -> list[Check]:
    """Check the chain of lines, and the digests of outputs and reports that are at hand.

    A file is at hand if it lies beside the ledger under the name that its line holds, or is given.
    An output that a later run replaced is named as replaced; that is no problem. A change of the
    last line, or the removal of the last lines, does not break the chain. A report at hand shows
    it: it holds the digest of its line, and the name of the ledger of its run.

    Args:
        path: the ledger.
        given: reports that lie elsewhere; their outputs are where they say.

    Returns:
        One check per line, and one per report that no line names.

    Raises:
        RequestError: the ledger cannot be read or is empty, or a line is malformed.
    """
    content = ledger.content_of(path)
    entries = ledger.parse_lines(content, str(path))
    if not entries:
        raise RequestError(
            f"ledger {path} has no line", "give the ledger that the runs wrote, or restore it"
        )
    unlinked = ledger.unlinked(content, entries)
    reports = {sha256(one): one for one in _reports(path, given)}
    lines: dict[str, int] = {}
    for number, one in enumerate(entries, 1):
        lines.setdefault(one.output, number)
        lines.setdefault(one.report, number)
    checks = []
    for number, one in enumerate(entries, 1):
        check = _line(number, one, path.parent, reports, lines)
        if number in unlinked:
            check = replace(check, problem=ledger.UNLINKED)
        checks.append(check)
    # A ledger may have been renamed: the reports of its lines hold the name that it had.
    names = {path.name, *(_ledger_of(one) for digest, one in reports.items() if digest in lines)}
    unknown = ((digest, one) for digest, one in reports.items() if digest not in lines)
    return checks + [
        Check(one.name, f"{path.name} has no line for it: lines were removed at the end, or the "
              "report was changed")
        for digest, one in unknown
        if one in given
        or ((name := _ledger_of(one)) in names and not _holds(path.with_name(str(name)), digest))
    ]  # fmt: skip


def _reports(path: Path, given: Sequence[Path]) -> Iterator[Path]:
    """Yield the reports beside the ledger, then the given ones, which may be the same."""
    yield from sorted(path.resolve().parent.glob("*.json"))
    for one in given:
        if not one.is_file():
            raise RequestError(f"no report {one}", "check the path")
        yield one


def _ledger_of(report: Path) -> str | None:
    """Return the name of the ledger that a report says its run was recorded in."""
    try:
        found = read_report(report)
    except RequestError:
        return None
    named = found.config.get("ledger")
    return Path(named).name if found.output is not None and isinstance(named, str) else None


def _holds(ledger: Path, digest: str) -> bool:
    """Return whether a ledger that took over the name holds the line of a report."""
    return ledger.is_file() and digest.encode() in ledger.read_bytes()


def _line(
    number: int, entry: Entry, folder: Path, reports: Mapping[str, Path], lines: Mapping[str, int]
) -> Check:
    """Check the files of one line."""
    name = f"line {number}, {entry.created:%Y-%m-%d %H:%M}, {counted(len(entry.ids), 'ID')}"
    report = reports.get(entry.report, folder / entry.report_name)
    output = folder / entry.output_name
    if entry.report in reports and not output.exists():
        output = Path(getattr(read_report(report).output, "path", output))
    states, problems = [], []
    for what, file, expected in (
        ("output", output, entry.output), ("report", report, entry.report)
    ):  # fmt: skip
        found = checkpoint_files.digest(file) if file.exists() else None
        later = lines.get(found or "")
        if found == expected:
            states.append(f"{what} unchanged")
            if what == "report" and read_report(file).ledger_line not in (None, entry.of_run):
                problems.append("was changed: its report holds another digest of this line")
        elif found is None:
            states.append(f"{what} {ABSENT}")
        elif later is not None and later != number:
            states.append(f"{what} replaced by the run of line {later}")
        else:
            problems.append(f"{what} {file.name} is not the file of the run")
    return Check(name, "; ".join(problems) or None, ", ".join(states))
