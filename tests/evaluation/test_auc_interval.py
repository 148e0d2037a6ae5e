"""The AUC's interval: its coverage with known truth, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.coverage import DIFFICULTIES, LISTS, OWN, auc_coverage, difficulty_coverage
from falw_cli.evaluation.auc_interval import matched_auc


@pytest.mark.parametrize("name", ["1 sample", "1 of each of 5 classes", "20, long-tailed"])
@pytest.mark.parametrize("shift", [0.0, 1.2])
def test_the_interval_covers(name: str, shift: float) -> None:
    """95 % +- 4 standard deviations of 300 trials."""
    assert auc_coverage(LISTS[name], shift, trials=300) == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("kind", DIFFICULTIES)
@pytest.mark.parametrize(
    ("count", "error", "shift"), [(5, 2.0, 0.0), (20, 2.0, 1.5), (200, OWN, 0)]
)
def test_it_covers_by_difficulty(kind: str, count: int, error: float, shift: float) -> None:
    """95 % - 4 standard deviations of 300 trials, also if the expectation is unreliable."""
    found = difficulty_coverage(kind, count, error, shift, trials=300)
    assert found is not None
    assert found >= 0.90


def test_a_few_samples_have_no_interval_by_difficulty() -> None:
    assert difficulty_coverage("random", 4, OWN, 0.0, trials=1) is None


def test_by_hand() -> None:
    """The member of class 0 is above 2 of 4 non-members of its class; class 1 has no non-member."""
    members, others = np.array([2.5, 9.0]), np.array([1.0, 2.0, 3.0, 4.0])
    auc, (low, high) = matched_auc(members, others, (np.array([0, 1]), np.zeros(4, int)))
    assert auc == 0.5
    assert low < 0.1
    assert high > 0.9


@given(st.integers(1, 30), st.integers(5, 60), st.integers(0, 5))
def test_the_interval_contains_the_value(members: int, others: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    strata = np.zeros(members, int), np.zeros(others, int)
    auc, (low, high) = matched_auc(rng.normal(1, 1, members), rng.normal(0, 1, others), strata)
    assert 0 <= low <= auc <= high <= 1


def test_more_members_give_a_narrower_interval() -> None:
    rng = np.random.default_rng(0)
    others = rng.normal(size=500)
    widths = []
    for count in (1, 10, 100):
        strata = np.zeros(count, int), np.zeros(500, int)
        _, (low, high) = matched_auc(rng.normal(size=count), others, strata)
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 3 * widths[2]
