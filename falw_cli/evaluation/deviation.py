"""Head, mid and tail of the forget set, and how far each is from Retrain and from unseen data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from falw_cli.evaluation.intervals import Vector


def thirds(forget_count: npt.NDArray[np.int64]) -> tuple[list[int], list[int], list[int]]:
    """Head, mid and tail: the classes with forget samples, by count, in three parts.

    Args:
        forget_count: forget samples of each class, [C].

    Returns:
        Class indices, most forgotten first, ties by index; where the number is no multiple of
        three, the earlier parts are larger.
    """
    order = np.argsort(-forget_count, kind="stable")
    present = order[forget_count[order] > 0]
    head, mid, tail = np.array_split(present, 3)
    return head.tolist(), mid.tolist(), tail.tolist()


def class_means(values: Vector, labels: npt.NDArray[np.int64], num_classes: int) -> Vector:
    """Mean of `values` [N] in each class; NaN where a class has none. -> [C]"""
    count = np.bincount(labels, minlength=num_classes)
    total = np.bincount(labels, weights=values, minlength=num_classes)
    means: Vector = np.full(num_classes, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def mixed_mean(
    means: Vector, weight: npt.NDArray[np.int64], classes: Sequence[int]
) -> float | None:
    """Mean over `classes` of class means [C], weighted by sample counts [C].

    Classes without a mean are left out; None where none is left.
    """
    chosen = [c for c in classes if weight[c] > 0 and not np.isnan(means[c])]
    if not chosen:
        return None
    return float(np.average(means[chosen], weights=weight[chosen]))
