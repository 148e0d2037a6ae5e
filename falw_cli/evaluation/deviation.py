"""Head, mid and tail classes of the forget set, and class-weighted means over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from falw_cli.evaluation.intervals import Counts, Vector


def thirds(forget_count: Counts) -> tuple[list[int], list[int], list[int]]:
    """Split the classes that have forget samples by count into head, mid and tail.

    Args:
        forget_count: number of forget samples per class, [C].

    Returns:
        Class indices by descending count, ties by index. If the number of classes is not a
        multiple of three, the earlier parts are larger.
    """
    order = np.argsort(-forget_count, kind="stable")
    present = order[forget_count[order] > 0]
    head, mid, tail = np.array_split(present, 3)
    return head.tolist(), mid.tolist(), tail.tolist()


def class_means(values: Vector, labels: Counts, num_classes: int) -> Vector:
    """Return the mean of `values` [N] per class; NaN for a class without samples. -> [C]"""
    count = np.bincount(labels, minlength=num_classes)
    total = np.bincount(labels, weights=values, minlength=num_classes)
    means: Vector = np.full(num_classes, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def mixed_mean(means: Vector, weight: Counts, classes: Sequence[int]) -> float | None:
    """Return the mean over `classes` of class means [C], weighted by sample counts [C].

    Classes without samples or without a mean are skipped; None if all are.
    """
    chosen = [c for c in classes if weight[c] > 0 and not np.isnan(means[c])]
    if not chosen:
        return None
    return float(np.average(means[chosen], weights=weight[chosen]))
