"""Avg. Gap: the distance of a model's metrics from Retrain's, compared with seed variation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from falw_cli.config.extensions import METRICS
from falw_cli.config.settings import Config
from falw_cli.errors import RequestError, one_of
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.intervals import LEVEL, Interval, Vector, of_mean_distance
from falw_cli.evaluation.metrics import Figure, Metrics, Seeds

if TYPE_CHECKING:
    from falw_cli.evaluation.predictions import Predictions, Resamples

Weights = Mapping[str, float]
"""{name: weight} of the metrics in the gap."""
FIELD: Weights = dict.fromkeys(
    ("forget_accuracy", "retain_accuracy", "test_accuracy", "mia_efficacy"), 1.0
)
"""The usual metrics of the Avg. Gap in the literature."""
NEED_RETAIN = ("retain_accuracy", "mia_efficacy")
"""Metrics that are measured on retain samples."""
WITHOUT_RETAIN = tuple(name for name in FIELD if name not in NEED_RETAIN)
"""Metrics of the Avg. Gap with `--no-retain`."""
EQUIVALENT = 1.5
"""Multiple of the largest gap between two Retrain models: a model whose gap to them is surely
smaller is called as close as they are. The largest of a few gaps is no upper limit."""
Sampled = tuple[Metrics, Vector]
"""Metrics of a model, and their deviations over resamples; see `noise`."""


def parse_weights(expressions: Sequence[str]) -> Weights:
    """Parse `--metrics`: NAME or NAME:WEIGHT each; the four metrics of FIELD by default.

    Raises:
        RequestError: a name is unknown or given twice, or a weight is not above 0.
    """
    if not expressions:
        return FIELD
    found: dict[str, float] = {}
    short = {load_metric(one).short.casefold(): one for one in METRICS}
    for text in expressions:
        name, _, number = (part.strip() for part in text.partition(":"))
        name = one_of("metric", short.get(name.casefold(), name), METRICS)
        try:
            weight = float(number) if number else 1.0
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf or name in found:
            raise RequestError(
                f"--metrics {text!r}: {'given twice' if name in found else 'invalid weight'}",
                "name each metric once, with a weight above 0: mia_auc:2",
            )
        found[name] = weight
    return found


def without_retain(config: Config) -> Config:
    """Return the config of a run without retain samples, with metrics that need none.

    Raises:
        RequestError: a metric of `--metrics` needs them.
    """
    if not config.no_retain:
        return config
    asked = parse_weights(config.metrics) if config.metrics else dict.fromkeys(WITHOUT_RETAIN, 1.0)
    for name in asked:
        if name in NEED_RETAIN:
            raise RequestError(
                f"--metrics {name} needs retain samples, and --no-retain uses none",
                f"leave out {name}: without --metrics, {' and '.join(WITHOUT_RETAIN)} count",
            )
    return config.model_copy(update={"metrics": config.metrics or WITHOUT_RETAIN})


def avg_gap(one: Metrics, other: Metrics, weights: Weights = FIELD) -> float | None:
    """Return the mean of |difference| over FA, RA, TA and MIA efficacy, in percentage points.

    Args:
        one, other: metrics of two models.
        weights: metrics and weights to use instead of these four.

    Returns:
        None if one of the metrics is missing.
    """
    differences = _differences(one, other, weights)
    if differences is None:
        return None
    return float(np.average(np.abs(differences), weights=list(weights.values())))


def _differences(one: Metrics, other: Metrics, weights: Weights) -> Vector | None:
    metrics = map(load_metric, weights)
    pairs = [(metric.find(one)[0], metric.find(other)[0]) for metric in metrics]
    known = [a - b for a, b in pairs if a is not None and b is not None]
    return np.array(known) if len(known) == len(pairs) else None


def noise(names: Iterable[str], predictions: Predictions, resamples: Resamples) -> Vector:
    """Return the deviations of K metrics from their mean over resamples, [B, K]."""
    drawn = np.stack([load_metric(name).draw(predictions, resamples) for name in names], axis=1)
    deviations: Vector = drawn - drawn.mean(axis=0)
    return deviations


def gap_interval(one: Metrics, other: Metrics, noise: Vector, weights: Weights = FIELD) -> Interval:
    """Return the 95 % interval of `avg_gap`, which must have a value.

    Args:
        one, other, weights: see `avg_gap`.
        noise: deviations of the differences over resamples, [B, K], mean 0.
    """
    differences = _differences(one, other, weights)
    assert differences is not None
    return of_mean_distance(differences, noise, list(weights.values()))


def noise_floor(references: Sequence[Metrics], weights: Weights = FIELD) -> float | None:
    """Return the mean Avg. Gap between two Retrain models; smaller gaps are not meaningful.

    Returns:
        Percentage points, or None with fewer than two references.
    """
    known = _known(avg_gap(one, other, weights) for one, other in combinations(references, 2))
    return sum(known) / len(known) if known else None


def against_seeds(
    model: Sampled, references: Sequence[Sampled], weights: Weights = FIELD
) -> Seeds | None:
    """Compare the model's distance to the Retrain models with the distances between them.

    Every gap is between two single models: the mean gap of the model to each reference is compared
    with the gaps of the reference pairs. Resampling gives the interval of the difference.

    Args:
        model, references: metrics and their deviations over resamples, see `noise`.
        weights: see `avg_gap`.

    Returns:
        None with fewer than two references, or if a metric is missing.
    """
    pairs = list(combinations(references, 2))
    between = _known(avg_gap(a[0], b[0], weights) for a, b in pairs)
    to_model = _known(avg_gap(model[0], other[0], weights) for other in references)
    if len(between) < len(pairs) or len(to_model) < len(references) or not pairs:
        return None
    own = _mean_draws([(model, other) for other in references], weights)
    excess = own - _mean_draws(pairs, weights)
    value, floor = float(np.mean(to_model)), float(np.mean(between))
    # Resampled gaps are biased upwards, since noise adds to |difference|: centre them.
    low, high = value - floor + np.percentile(excess - excess.mean(), LEVEL)
    if low > max(between) - floor:
        verdict = "outside"
    elif high < min(between) - floor:
        verdict = "closer"
    elif high <= EQUIVALENT * max(between) - floor:
        verdict = "equivalent"
    else:
        verdict = "within"
    ends = value + np.percentile(own - own.mean(), LEVEL)
    model_gap = Figure(value=value, lower=max(0.0, float(ends[0])), upper=float(ends[1]))
    return Seeds(
        pairs=len(pairs),
        smallest=min(between),
        largest=max(between),
        model=model_gap,
        verdict=verdict,
    )


def _known(values: object) -> list[float]:
    return [value for value in values if value is not None]  # type: ignore[attr-defined]


def _mean_draws(pairs: Sequence[tuple[Sampled, Sampled]], weights: Weights) -> Vector:
    """Return the Avg. Gap in each resample, averaged over pairs of models. -> [B]"""
    share = np.array(list(weights.values())) / sum(weights.values())
    total = []
    for (one, of_one), (other, of_other) in pairs:
        differences = _differences(one, other, weights)
        assert differences is not None
        total.append(np.abs(differences + of_one - of_other) @ share)
    found: Vector = np.mean(total, axis=0)
    return found
