"""The forgotten share: how far a list moved from what the original knew to what is expected.

Each forget sample is compared with its own expectation and its own original, so that a list of one
sample has a share, and a list of hard or mislabelled samples is not compared with easy ones.
"""

from __future__ import annotations

import numpy as np

from falw_cli.evaluation.intervals import LEVEL
from falw_cli.evaluation.metrics import Figure
from falw_cli.evaluation.scores import Vector

DRAWS = 1000
NEIGHBOURS = 50
"""Held-out samples of nearest expectation whose errors stand for those of a forget sample."""
MEMORISED = 0.05
"""Mean excess of the true-class probability over the expected one, below which a list was not
memorised."""
FEW = 20
"""Held-out samples below which the error of the expectation is not known."""
LEAST = 0.25
"""Part of the measured excess that is taken to be real, however large the errors may be."""
SHARED = 0.1
"""Part of an error that is assumed to be common to a list: photos of one person are alike."""


def forgotten_share(
    before: Vector, after: Vector, expected: Vector, level: Vector, error: Vector
) -> Figure | None:
    """Share of the way from the original to the expectation that a list has gone, percent.

    100 * sum(before - after) / sum(before - expected). The interval follows from the errors of the
    expectation, which are measured on held-out samples: the original never saw these, so that its
    own prediction is the truth there.

    Args:
        before, after: true-class probability of each forget sample, before and after, [N].
        expected: what a model that never saw the list is expected to give them, [N].
        level, error: of M held-out samples, the expected probability, and the true one minus it.

    Returns:
        The share with its 95 % interval, or None where the original had not memorised the list, or
        where there are fewer than FEW held-out samples.
    """
    excess = float((before - expected).mean()) if len(before) else 0.0
    if excess < MEMORISED or len(level) < FEW:
        return None
    moved = float((before - after).mean())
    random = np.random.default_rng(0)
    order = np.argsort(level, kind="stable")
    place = np.searchsorted(level[order], expected)
    nearest = place[:, None] + np.arange(-NEIGHBOURS // 2, NEIGHBOURS // 2)
    pools = error[order][np.clip(nearest, 0, len(level) - 1)]
    own = pools[np.arange(len(pools)), random.integers(0, NEIGHBOURS, (DRAWS, len(pools)))]
    whole = error[random.integers(0, len(error), DRAWS)]
    # Errors of single samples average out over a list; the common part does not.
    # Held-out samples are harder than members: what their errors have in common says nothing here.
    errors = (own - pools.mean(1)).mean(1) + SHARED * (whole - error.mean())
    drawn = 100 * moved / np.maximum(excess - errors, LEAST * excess)
    lower, upper = np.percentile(drawn, LEVEL)
    value = 100 * moved / excess
    return Figure(value=value, lower=min(value, float(lower)), upper=max(value, float(upper)))
