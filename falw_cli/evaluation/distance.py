"""Distance between the true-class probabilities of forget and unseen samples of a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from falw_cli.evaluation import roc, wasserstein
from falw_cli.evaluation.metrics import Apart, Distance, GroupApart, GroupsApart
from falw_cli.evaluation.predictions import Predictions, Resamples

BINS = 20
FEW_FORGET, FEW_UNSEEN = 5, 5
"""Minimum samples of a class for a per-class distance and AUC."""


def distance_of(predictions: Predictions, resamples: Resamples) -> Distance | None:
    """Return the distance of true-class probability from unseen data per class, third, and overall.

    Returns:
        None if no class has enough samples.
    """
    parts: dict[int, wasserstein.ClassDistance] = {}
    rng = np.random.default_rng([predictions.seed, 11])
    forget, test = predictions.forget, predictions.test
    for c in np.flatnonzero(predictions.forget_count).tolist():
        mine = [np.flatnonzero(seen.labels == c) for seen in (forget, test)]
        if len(mine[0]) < FEW_FORGET or len(mine[1]) < FEW_UNSEEN:
            continue
        draws = (resamples.forget[:, mine[0]], resamples.test[:, mine[1]])
        parts[c] = wasserstein.class_distance(forget.prob[mine[0]], test.prob[mine[1]], draws, rng)
    if not parts:
        return None

    def over(classes: Sequence[int]) -> dict[str, Any]:
        some = [c for c in classes if c in parts]
        counts = [int(predictions.forget_count[c]) for c in some]
        return wasserstein.combined([parts[c] for c in some], counts).model_dump()

    return Distance(
        **over(list(parts)),
        per_class={predictions.classes[c]: Apart(**over([c])) for c in parts},
        groups=GroupsApart(
            **{
                name: GroupApart(**over(classes), **_histograms(predictions, classes))  # type: ignore[arg-type]
                for name, classes in predictions.thirds.items()
                if any(c in parts for c in classes)
            }
        ),
    )


def _histograms(predictions: Predictions, classes: list[int]) -> dict[str, list[float]]:
    """Return histograms of true-class probability; unseen samples are class-matched."""
    forget, test = (
        seen.of_rows(np.flatnonzero(np.isin(seen.labels, classes)))
        for seen in (predictions.forget, predictions.test)
    )
    weights = roc.matching(forget.labels, test.labels)
    return {
        name: np.histogram(seen.prob, BINS, (0, 1), weights=weight)[0].tolist()
        for name, seen, weight in (
            ("forget_histogram", forget, weights[0]), ("unseen_histogram", test, weights[1]),
        )
    }  # fmt: skip
