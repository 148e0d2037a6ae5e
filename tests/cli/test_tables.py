"""Console tables: the same rows as the page, within 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from falw_cli.audit import rows
from falw_cli.cli import tables
from tests.audit.reports import evidence, report


def text(table: Table) -> str:
    """Return the table as a wide console shows it."""
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()


@pytest.mark.parametrize("references", [0, 2])
def test_it_fits_80_columns(references: int) -> None:
    found = report(1.5, references)
    assert found.per_sample is not None
    for table in (
        tables.metrics(found.metrics),
        tables.per_sample(found.per_sample),
        tables.evidence(evidence(20)),
    ):
        assert max(map(len, text(table).splitlines())) <= 80


def test_rows_are_those_of_the_page() -> None:
    found = report().metrics
    lines = {line.split("│")[1].strip(): line for line in text(tables.metrics(found)).splitlines()
             if "│" in line}  # fmt: skip
    shown = rows.models(found)
    for row in [*rows.metric_rows(shown), rows.gap_row(shown), *rows.unseen_rows(shown)]:
        for cell in row.cells.values():
            assert (cell.number if cell else "–") in lines[row.label]
    assert f"{found.noise_floor:.2f}" in lines["noise floor"]
    assert found.after is not None
    assert found.after.groups is not None
    tail = found.after.groups.tail
    assert f"{tail.deviation:+.2f}" in lines[f"tail ({tail.forget_count} forgotten)"]


def test_evidence_is_shown_by_position() -> None:
    lines = text(tables.evidence(evidence(2))).splitlines()
    assert "16 models: FPR ≥ 11.1" in lines[0]
    assert [cell.strip() for cell in lines[-2].split("│")[1:-1]] == [
        "sample 2", "99.9", "11 (0 to 31)", "50.0", "56 (0 to 81)",
    ]  # fmt: skip
