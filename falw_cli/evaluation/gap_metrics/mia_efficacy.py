"""MIA efficacy: share of the forget samples that the usual attack (`mia`) calls non-members."""

from __future__ import annotations

import numpy as np

from falw_cli.evaluation import intervals
from falw_cli.evaluation.gap_metric import Metric
from falw_cli.evaluation.predictions import Predictions, Resamples


def _value(predictions: Predictions) -> float | None:
    found = predictions.non_members
    return None if found is None else 100 * float(found.mean())


def _draw(predictions: Predictions, resamples: Resamples) -> intervals.Vector:
    assert predictions.non_members is not None
    drawn = 100 * intervals.means(resamples.forget, predictions.non_members)
    return drawn + np.resize(predictions.attack_noise, len(drawn))


def _ends(predictions: Predictions) -> intervals.Interval:
    """Combine two sources of variance: the forget samples and the samples that train the attack."""
    assert predictions.non_members is not None
    share, noise = (
        float(predictions.non_members.mean()),
        float(predictions.attack_noise.std()) / 100,
    )
    own = intervals.wilson(share, len(predictions.non_members))
    lower, upper = intervals.apart(share, own, 0.0, (-intervals.Z * noise, intervals.Z * noise))
    return 100 * lower, 100 * upper


metric = Metric(
    __name__, "MIA", "MIA efficacy", _draw, value=_value, ends=_ends,
    explanation="Share of the forget samples that a membership attack takes for samples outside "
    "the training data. The attack is an SVM on the true-class probability, trained on retain and "
    "test samples. Compare it with Retrain: 100 % is not the goal.",
)  # fmt: skip
