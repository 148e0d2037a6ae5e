"""The verdict of a report, in words."""

from __future__ import annotations

import pytest

from falw_cli.audit.report import Report
from falw_cli.audit.verdict import verdict
from tests.audit.reports import report


def without_gates(after: float, references: int = 2) -> Report:
    return report(after, references).model_copy(update={"gates": []})


@pytest.mark.parametrize(
    ("after", "references", "level"),
    [(1.5, 2, "good"), (4.5, 2, "bad"), (-1.0, 2, "bad"), (1.5, 0, "good"), (4.5, 0, "bad")],
)
def test_levels(after: float, references: int, level: str) -> None:
    assert verdict(without_gates(after, references)).level == level


def test_it_names_its_evidence() -> None:
    said = verdict(without_gates(1.5))
    assert "within seed-to-seed variation" in said.points[0]
    assert "cannot be distinguished from unseen samples" in said.points[1]
    over = verdict(without_gates(-1.0, 0))
    assert "less familiar than unseen samples" in over.points[0]


def test_a_failed_gate_decides() -> None:
    said = verdict(report())
    assert (said.level, said.headline) == ("bad", "A gate failed")
    assert said.points[-1].startswith("1 of 2 gates passed; failed: per_class.")


def test_a_test_that_the_original_passes_has_no_power() -> None:
    made = without_gates(1.5, 0)
    metrics = made.metrics.model_copy(update={"before": made.metrics.after})
    said = verdict(made.model_copy(update={"metrics": metrics}))
    assert said.level == "unknown"
    assert "no power" in said.points[0]
