"""ECE: expected calibration error on the test samples."""

from __future__ import annotations

from falw_cli.evaluation.calibration import calibration_error
from falw_cli.evaluation.gap_metric import Metric
from falw_cli.evaluation.intervals import Vector
from falw_cli.evaluation.predictions import Predictions, Resamples


def _draw(predictions: Predictions, resamples: Resamples) -> Vector:
    return 100 * calibration_error(predictions.test.top, predictions.test.correct, resamples.test)


metric = Metric(
    __name__, "ECE", "calibration error on test", _draw,
    explanation="Mean difference between confidence and accuracy, over 15 bins of confidence.",
)  # fmt: skip
