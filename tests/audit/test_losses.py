"""What unlearning cost, by class."""

from __future__ import annotations

import pytest

from falw_cli.audit.losses import class_losses
from falw_cli.evaluation.metrics import ClassChange, Figure
from tests.audit.reports import report


@pytest.mark.parametrize(
    ("value", "half", "named"),
    [(-30.0, 12.0, True), (-30.0, 26.0, False), (-4.0, 1.0, False), (19.0, 5.0, False)],
)
@pytest.mark.parametrize("kept", [True, False])
def test_a_class_that_lost_more_than_chance_is_named(
    value: float, half: float, *, named: bool, kept: bool
) -> None:
    """With ten classes, an interval is widened by 2.81 / 1.96. A forgotten class had to fall."""
    made = report(1.5)
    assert made.metrics.changes is not None
    level = Figure(value=0, lower=-5, upper=5)
    changes = {
        str(one): ClassChange(retain_accuracy=level, test_accuracy=level) for one in range(9)
    }
    found = Figure(value=value, lower=value - half, upper=value + half)
    changes["cat"] = ClassChange(retain_accuracy=level if kept else None, test_accuracy=found)
    changed = made.metrics.changes.model_copy(update={"per_class": changes})
    metrics = made.metrics.model_copy(update={"changes": changed})
    said = class_losses(made.model_copy(update={"metrics": metrics}))
    assert said == ("test accuracy of classes fell: 'cat' by 30 points" if named and kept else "")
