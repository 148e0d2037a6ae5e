"""Confidence intervals: published examples, and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.evaluation import intervals


@pytest.mark.parametrize(
    ("share", "count", "expected"),
    [(0.0, 10, (0.0, 0.2775)), (0.5, 10, (0.2366, 0.7634)), (1.0, 10, (0.7225, 1.0))],
)
def test_wilson_by_hand(share: float, count: int, expected: tuple[float, float]) -> None:
    assert intervals.wilson(share, count) == pytest.approx(expected, abs=1e-4)


def test_newcombes_own_example() -> None:
    """56 of 70 vs. 48 of 80: Newcombe (1998), table II, method 10."""
    one, other = 56 / 70, 48 / 80
    found = intervals.apart(one, intervals.wilson(one, 70), other, intervals.wilson(other, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_few_agreeing_samples_give_a_wide_interval() -> None:
    """Bonett and Price: for 8 pairs without a difference, the interval is +-1.96 sqrt(0.2 / 10)."""
    half = 1.96 * np.sqrt(0.2 / 10)
    assert intervals.paired(np.zeros(8)) == pytest.approx((-half, half), abs=1e-4)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_each_class_keeps_its_sample_count(labels: list[int]) -> None:
    label = np.array(labels)
    counts = intervals.resample(label, np.random.default_rng(0), draws=5)
    for c in range(4):
        assert (counts[:, label == c].sum(axis=1) == (label == c).sum()).all()


def test_means_of_resamples() -> None:
    counts = np.array([[2, 0, 1], [1, 1, 1]], dtype=np.uint8)
    assert intervals.means(counts, np.array([1.0, 5.0, 4.0])) == pytest.approx([2, 10 / 3])


def test_around_is_centred_on_the_value() -> None:
    low, high = intervals.around(1.0, np.linspace(4, 6, 1001))
    assert (low, high) == pytest.approx((0.05, 1.95))


@pytest.mark.parametrize("truth", [(0, 0, 0, 0), (0.5, 0, -0.2, 1), (2, -1, 0.5, 3), (9, 8, 7, 9)])
def test_the_gaps_interval_covers(truth: tuple[float, ...]) -> None:
    """Four metrics with noise of standard deviation 1: 95 % of intervals contain the true mean."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        found = np.array(truth) + rng.normal(size=4)
        noise = rng.normal(size=(300, 4))
        low, high = intervals.of_mean_distance(found, noise - noise.mean(axis=0), [1] * 4)
        held += low <= np.mean(np.abs(truth)) <= high
    assert 0.94 <= held / 300 <= 1.0


def test_weights_are_applied() -> None:
    noise = np.random.default_rng(0).normal(size=(200, 2)) * 0.01
    low, high = intervals.of_mean_distance(np.array([1.0, 5.0]), noise, [3, 1])
    assert (low, high) == pytest.approx((2, 2), abs=0.1)


def test_identical_models_have_no_gap() -> None:
    zero = np.zeros(4)
    assert intervals.of_mean_distance(zero, np.zeros((50, 4)), [1] * 4) == (0, 0)
