"""Test accuracy on the classes that keep at least one retain sample."""

from __future__ import annotations

from falw_cli.evaluation import intervals
from falw_cli.evaluation.gap_metric import Metric
from falw_cli.evaluation.intervals import Vector
from falw_cli.evaluation.predictions import Predictions, Resamples


def _draw(predictions: Predictions, resamples: Resamples) -> Vector:
    rows = predictions.kept_test
    return 100 * intervals.means(resamples.test[:, rows], predictions.test.correct[rows])


def _ends(predictions: Predictions) -> intervals.Interval:
    correct = predictions.test.correct[predictions.kept_test]
    lower, upper = intervals.wilson(float(correct.mean()), len(correct))
    return 100 * lower, 100 * upper


metric = Metric(
    __name__, "RTA", "test accuracy on kept classes", _draw, ends=_ends,
    explanation="Test accuracy without the classes that the list removes entirely.",
)  # fmt: skip
