"""Avg. Gap: how far a model's figures are from Retrain's, and what seeds alone would make it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from falw_cli.config.extensions import METRICS
from falw_cli.errors import RequestError, unknown_name
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.intervals import LEVEL, Interval, Vector, of_mean_distance
from falw_cli.evaluation.metrics import Figure, Metrics, Seeds

if TYPE_CHECKING:
    from falw_cli.evaluation.predictions import Predictions, Resamples

Weights = Mapping[str, float]
"""Of the metrics that the gap is made of."""
FIELD: Weights = dict.fromkeys(
    ("forget_accuracy", "retain_accuracy", "test_accuracy", "mia_efficacy"), 1.0
)
"""What the field means by Avg. Gap."""


def parse_weights(asked: Sequence[str]) -> Weights:
    """`--metrics` taken apart: NAME or NAME:WEIGHT each; the field's four where none is asked for.

    Raises:
        RequestError: an unknown name, one given twice, or a weight that is not above 0.
    """
    found: dict[str, float] = {}
    for text in asked:
        name, _, number = (part.strip() for part in text.partition(":"))
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
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
    return found or FIELD


def avg_gap(one: Metrics, other: Metrics, weights: Weights = FIELD) -> float | None:
    """Mean of |difference| over FA, RA, TA and MIA efficacy, in percentage points.

    Args:
        one, other: of two models.
        weights: other figures than these four, or other weights.

    Returns:
        None where one of the figures is missing.
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


def noise(names: Iterable[str], evidence: Predictions, again: Resamples) -> Vector:
    """Return how metrics scatter when the samples are drawn again, around their mean, [B, K]."""
    drawn = np.stack([load_metric(name).draw(evidence, again) for name in names], axis=1)
    deviations: Vector = drawn - drawn.mean(axis=0)
    return deviations


def gap_interval(one: Metrics, other: Metrics, noise: Vector, weights: Weights = FIELD) -> Interval:
    """95 % interval of `avg_gap`, where that has a value.

    Args:
        one, other, weights: see `avg_gap`.
        noise: how the differences scatter when samples are drawn again, [B, K], mean 0.
    """
    differences = _differences(one, other, weights)
    assert differences is not None
    return of_mean_distance(differences, noise, list(weights.values()))


def noise_floor(references: Sequence[Metrics], weights: Weights = FIELD) -> float | None:
    """Mean Avg. Gap between two Retrain models: a smaller gap than this says nothing.

    Returns:
        Percentage points, or None with fewer than two references.
    """
    known = _known(avg_gap(one, other, weights) for one, other in combinations(references, 2))
    return sum(known) / len(known) if known else None


def against_seeds(
    model: tuple[Metrics, Vector],
    references: Sequence[tuple[Metrics, Vector]],
    weights: Weights = FIELD,
) -> Seeds | None:
    """Is a model as close to the Retrain models as they are to one another?

    Compared are gaps of the same kind, between two single models: those of the model to each
    reference, in the mean, and those of the pairs of references. What the samples alone could make
    of the difference is drawn again.

    Args:
        model, references: metrics, and how they scatter, see `noise`.
        weights: see `avg_gap`.

    Returns:
        None with fewer than two references, or where a figure is missing.
    """
    pairs = list(combinations(references, 2))
    between = _known(avg_gap(a[0], b[0], weights) for a, b in pairs)
    to_model = _known(avg_gap(model[0], other[0], weights) for other in references)
    if len(between) < len(pairs) or len(to_model) < len(references) or not pairs:
        return None
    own = _mean_draws([(model, other) for other in references], weights)
    excess = own - _mean_draws(pairs, weights)
    value, floor = float(np.mean(to_model)), float(np.mean(between))
    # Drawn gaps are larger than the ones found, since noise adds to both: centre them again.
    low, high = value - floor + np.percentile(excess - excess.mean(), LEVEL)
    if low > max(between) - floor:
        verdict = "outside"
    elif high < min(between) - floor:
        verdict = "closer"
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


def _mean_draws(
    pairs: Sequence[tuple[tuple[Metrics, Vector], tuple[Metrics, Vector]]], weights: Weights
) -> Vector:
    """Avg. Gap in each resample, the mean over pairs of models. -> [B]"""
    share = np.array(list(weights.values())) / sum(weights.values())
    total = []
    for (one, of_one), (other, of_other) in pairs:
        differences = _differences(one, other, weights)
        assert differences is not None
        total.append(np.abs(differences + of_one - of_other) @ share)
    found: Vector = np.mean(total, axis=0)
    return found
