"""MIA efficacy: share of the forget samples that the usual attack (`mia`) calls non-members."""

from __future__ import annotations

import numpy as np

from falw_cli.evaluation import intervals
from falw_cli.evaluation.gap_metric import Metric
from falw_cli.evaluation.predictions import Predictions, Resamples


def _value(evidence: Predictions) -> float | None:
    found = evidence.strangers
    return None if found is None else 100 * float(found.mean())


def _draw(evidence: Predictions, again: Resamples) -> intervals.Vector:
    assert evidence.strangers is not None
    drawn = 100 * intervals.means(again.forget, evidence.strangers)
    return drawn + np.resize(evidence.attack_noise, len(drawn))


def _ends(evidence: Predictions) -> intervals.Interval:
    """Combine two sources of variance: the forget samples and the samples that train the attack."""
    assert evidence.strangers is not None
    share, noise = float(evidence.strangers.mean()), float(evidence.attack_noise.std()) / 100
    own = intervals.wilson(share, len(evidence.strangers))
    lower, upper = intervals.apart(share, own, 0.0, (-intervals.Z * noise, intervals.Z * noise))
    return 100 * lower, 100 * upper


metric = Metric(__name__, "MIA", "MIA efficacy", _draw, value=_value, ends=_ends)
