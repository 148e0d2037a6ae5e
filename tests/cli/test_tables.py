"""Console tables: the same rows as the page, within 80 columns."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from falw_cli.audit import rows
from falw_cli.cli import tables
from tests.audit.reports import evidence, report, with_share


def text(table: Table, width: int = 200) -> str:
    """Return the table as a console of this width shows it."""
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


@pytest.mark.parametrize("references", [0, 2])
def test_it_fits_80_columns(references: int) -> None:
    found = report(1.5, references)
    for table in (*tables.of_report(found), tables.evidence(evidence(20))):
        shown = text(table, 80)
        assert max(map(len, shown.splitlines())) <= 80
        assert "…" not in shown
    for row in rows.metric_rows(rows.models(found.metrics)):
        for part in row.cells["after"].interval.split(" to "):  # type: ignore[union-attr]
            assert part in text(tables.metrics(found.metrics), 80)


def test_rows_are_those_of_the_page_with_their_units() -> None:
    found = report().metrics
    # A label that is too long for its column goes on in the next line.
    shown, whole = rows.models(found), text(tables.metrics(found), 300)
    lines = {re.split(r"\s{2,}", line.strip())[0]: line for line in whole.splitlines()}
    for row in [*rows.metric_rows(shown), rows.gap_row(shown), *rows.unseen_rows(shown)]:
        assert row.unit
        for cell in row.cells.values() if any(row.cells.values()) else ():
            assert (cell.number if cell else "–") in lines[row.title]
    assert f"{found.noise_floor:.2f}" in lines["between two Retrains, points"]
    tail = rows.metric_row("tail_accuracy", shown)
    assert lines[tail.title].endswith(tail.difference("after", "Retrain"))


def test_all_sections_are_shown() -> None:
    whole = "\n".join(text(table) for table in tables.of_report(report()))
    for part in ("U-LiRA", "float16: forget accuracy", "relearning 9 of", "with noise, 100 copies"):
        assert part in whole
    steps = [line for line in whole.splitlines() if "recovered to 99 %" in line]
    assert [re.split(r"\s*│\s*", line)[2] for line in steps] == ["3", "–", "8"]


def test_without_retrained_models_there_is_no_difference() -> None:
    shown = text(tables.metrics(report(1.5, 0).metrics))
    assert "95 % interval" in shown
    assert "Retrain" not in shown


def test_the_forgotten_share_is_the_first_row_if_there_is_one() -> None:
    made = with_share(report())
    shown = text(tables.metrics(made.metrics), 80)
    assert re.search(r"─\n forgotten share, % +– +93 +80–104 ", shown)
    assert "forgotten" not in text(tables.metrics(report().metrics))
    assert made.metrics.after is not None
    assert made.metrics.after.forgotten_share is not None
    made.metrics.after.forgotten_share.lower = -5.0
    assert "-5 to 104" in text(tables.metrics(made.metrics), 80)


def test_evidence_is_shown_by_position() -> None:
    lines = text(tables.evidence(evidence(2))).splitlines()
    assert "16 models: FPR ≥ 11.1" in lines[0]
    few = evidence(2).model_copy(update={"models": 14})
    assert "fewer than 16 shadow models" in text(tables.evidence(few), 80)
    assert [cell.strip() for cell in lines[-2].split("│")[1:-1]] == [
        "sample 2", "90.0", "11 (0 to 31)", "50.0", "56 (0 to 81)",
    ]  # fmt: skip
