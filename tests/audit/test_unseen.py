"""The comparison with unseen samples, in words."""

from __future__ import annotations

import pytest

from falw_cli.audit.report import Report
from falw_cli.audit.unseen import against_unseen
from falw_cli.evaluation.metrics import Figure
from tests.audit.reports import report


def with_auc(value: float, lower: float, upper: float) -> Report:
    """A report with an AUC of forget and unseen samples, without a distance."""
    made = report(1.5, 0)
    assert made.metrics.after is not None
    assert made.metrics.after.mia is not None
    auc = Figure(value=value, lower=lower, upper=upper)
    mia = made.metrics.after.mia.model_copy(update={"difficulty_matched": auc})
    after = made.metrics.after.model_copy(update={"mia": mia, "distance": None})
    metrics = made.metrics.model_copy(update={"after": after, "before": None})
    return made.model_copy(update={"metrics": metrics})


@pytest.mark.parametrize(
    ("auc", "level", "text"),
    [
        ((0.5, 0.45, 0.55), "good", "cannot be distinguished from unseen samples"),
        ((0.55, 0.52, 0.59), "good", "differ little from unseen samples"),
        (
            (0.7, 0.6001, 0.8),
            "bad",
            "look like training samples: difficulty-matched AUC 0.700 (0.6001",
        ),
        ((0.7, 0.55, 0.85), "unknown", "look more familiar than unseen samples, but the list"),
        ((0.288, 0.15, 0.45), "unknown", "look less familiar than unseen samples, but the list"),
        ((0.45, 0.3, 0.6), "unknown", "an AUC from 0.25 to 0.75 would not be seen"),
        (
            (0.2, 0.1, 0.39),
            "mixed",
            "look less familiar than unseen samples: difficulty-matched AUC",
        ),
    ],
)
def test_each_interval_has_its_sentence(
    auc: tuple[float, float, float], level: str, text: str
) -> None:
    found, said = against_unseen(with_auc(*auc))
    assert found == level
    assert text in said
