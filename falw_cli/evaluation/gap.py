"""Avg. Gap: how far a model's figures are from Retrain's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from falw_cli.evaluation.metrics import Metrics

FIGURES = ("forget_accuracy", "retain_accuracy", "test_accuracy", "mia_efficacy")


def avg_gap(one: Metrics, other: Metrics) -> float | None:
    """Mean of |difference| over FA, RA, TA and MIA efficacy, in percentage points.

    Returns:
        None where one of the figures is missing.
    """
    differences: list[float] = []
    for name in FIGURES:
        a, b = getattr(one, name), getattr(other, name)
        if a is None or b is None:
            return None
        differences.append(abs(a - b))
    return sum(differences) / len(differences)


def noise_floor(references: Sequence[Metrics]) -> float | None:
    """Mean Avg. Gap between two Retrain models: a smaller gap than this says nothing.

    Returns:
        Percentage points, or None with fewer than two references.
    """
    gaps = [avg_gap(one, other) for one, other in combinations(references, 2)]
    known = [gap for gap in gaps if gap is not None]
    return sum(known) / len(known) if known else None
