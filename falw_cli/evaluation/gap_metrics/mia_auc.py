"""AUC of the class-matched membership attack, times 100."""

from __future__ import annotations

from falw_cli.evaluation.gap_metric import NOTHING, Metric, Reading
from falw_cli.evaluation.intervals import Vector
from falw_cli.evaluation.membership import matched_attack
from falw_cli.evaluation.metrics import Interval, Metrics
from falw_cli.evaluation.predictions import Predictions, Resamples


def _read(metrics: Metrics) -> Reading:
    if metrics.mia is None:
        return NOTHING
    auc = metrics.mia.auc
    return 100 * auc.value, Interval.scaled((auc.lower, auc.upper), 100)


def _draw(predictions: Predictions, resamples: Resamples) -> Vector:
    found = matched_attack(
        (predictions.forget, predictions.test), (resamples.forget, resamples.test)
    )
    assert found is not None
    return 100 * found.auc_draws


metric = Metric(
    __name__, "AUC", "forget vs. unseen: AUC", _draw, read=_read,
    explanation="How well an attack by loss distinguishes forget samples from unseen samples of "
    "the same class mix. Above 0.5, forget samples look like training samples; below 0.5, less "
    "familiar than unseen samples.",
)  # fmt: skip
