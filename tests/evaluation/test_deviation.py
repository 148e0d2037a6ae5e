"""Head, mid and tail groups, and class means, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.evaluation.deviation import class_means, mixed_mean, thirds


def test_thirds_by_forget_count() -> None:
    assert thirds(np.array([5, 1, 9, 3, 2, 7])) == ([2, 5], [0, 3], [4, 1])
    assert thirds(np.array([1, 1, 1, 1])) == ([0, 1], [2], [3])
    assert thirds(np.array([0, 4, 0])) == ([1], [], [])


def test_class_means() -> None:
    means = class_means(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 3)
    assert means[[0, 2]].tolist() == [2, 5]
    assert np.isnan(means[1])


def test_classes_are_weighted_by_the_forget_set() -> None:
    means = np.array([10.0, 20.0, np.nan])
    assert mixed_mean(means, np.array([3, 1, 5]), [0, 1, 2]) == pytest.approx(12.5)
    assert mixed_mean(means, np.array([0, 0, 5]), [0, 1, 2]) is None
