"""The forgotten share and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.evaluation.forgotten import claim, forgotten_share
from falw_cli.evaluation.metrics import Interval

LEVEL = np.linspace(0, 1, 400)
ERROR = np.random.default_rng(0).normal(0, 0.25, 400)


def test_an_unchanged_model_has_0_and_the_expected_one_100() -> None:
    before, expected = np.ones(50), np.full(50, 0.4)
    untouched = forgotten_share(before, before, expected, LEVEL, ERROR)
    assert untouched is not None
    assert (untouched.value, untouched.lower, untouched.upper) == (0, 0, 0)
    there = forgotten_share(before, expected, expected, LEVEL, ERROR)
    assert there is not None
    assert there.value == pytest.approx(100)
    assert 70 < there.lower < 100 < there.upper < 150


@pytest.mark.parametrize(
    ("lower", "upper", "shown"),
    [
        (10, 49, "not forgotten"), (10, 60, "cannot tell"), (10, 400, "cannot tell"),
        (60, 400, "at least"), (50, 150, "forgotten"), (90, 150.1, "at least"),
        (121, 140, "over-forgotten"), (121, 400, "over-forgotten"),
    ],
)  # fmt: skip
def test_forgotten_needs_both_margins(lower: float, upper: float, shown: str) -> None:
    assert claim(Interval(lower=lower, upper=upper)) == shown


def test_overshooting_is_above_100() -> None:
    found = forgotten_share(np.ones(50), np.zeros(50), np.full(50, 0.5), LEVEL, ERROR)
    assert found is not None
    assert found.value == pytest.approx(200)


def test_a_list_that_was_not_memorised_has_no_share() -> None:
    known = np.full(20, 0.9)
    assert forgotten_share(known, known, known - 0.01, LEVEL, ERROR) is None
    assert forgotten_share(known[:0], known[:0], known[:0], LEVEL, ERROR) is None


@pytest.mark.parametrize(
    ("way", "moved", "known"),
    [(0.06, 0.2, False), (0.06, 0.0, True), (0.25, 0.9, True), (0.25, -2.9, True)],
)
def test_an_interval_of_nonsense_width_gives_no_share(
    way: float, moved: float, known: bool
) -> None:
    """Unless it is below half of the way: then the list is surely not forgotten."""
    expected, level, error = np.full(9, 0.5), LEVEL, ERROR
    found = forgotten_share(expected + way, expected + way - moved, expected, level, error)
    assert (found is not None) == known
    if found and moved < 0:
        assert found.upper < 50


def test_one_sample_has_a_wide_interval() -> None:
    one = forgotten_share(np.ones(1), np.full(1, 0.2), np.full(1, 0.2), LEVEL, ERROR)
    many = forgotten_share(np.ones(200), np.full(200, 0.2), np.full(200, 0.2), LEVEL, ERROR)
    assert one is not None
    assert many is not None
    assert one.upper - one.lower > 3 * (many.upper - many.lower)


def test_an_unchanged_sample_that_may_never_have_been_memorised_is_unclear() -> None:
    """A retrained model would predict it like this if it was never memorised."""
    for expected, unclear in ((0.8, True), (0.1, False)):
        found = forgotten_share(np.ones(1), np.ones(1), np.full(1, expected), LEVEL, ERROR)
        assert found is not None
        assert (found.lower, found.value) == (0, 0)
        assert (found.upper >= 100) == unclear


@given(st.floats(0, 1), st.floats(0, 0.9))
def test_the_interval_contains_the_value(after: float, expected: float) -> None:
    size = 10
    found = forgotten_share(
        np.ones(size), np.full(size, after), np.full(size, expected), LEVEL, ERROR
    )
    assert found is None or found.lower <= found.value <= found.upper


def test_the_interval_covers_the_truth() -> None:
    """For a model equal to a truth drawn around the expectation, most intervals contain 100."""
    random, held = np.random.default_rng(1), 0
    for _ in range(200):
        expected = random.uniform(0.2, 0.8, 20)
        truth = expected + random.choice(ERROR, 20)
        found = forgotten_share(np.ones(20), truth, expected, LEVEL, ERROR)
        held += found is not None and found.lower <= 100 <= found.upper
    assert held >= 180


def test_too_few_held_out_samples_give_no_share() -> None:
    few = LEVEL[:5], ERROR[:5]
    assert forgotten_share(np.ones(9), np.zeros(9), np.full(9, 0.5), *few) is None


@pytest.mark.parametrize(("familiar", "said"), [(1, "not forgotten"), (20, "cannot tell")])
def test_a_single_sample_is_compared_with_unseen_samples_like_it(familiar: int, said: str) -> None:
    """A retrained model may be as sure of it, if the original is of 20 in 200 such samples."""
    level = np.full(200, 0.05)
    error = np.where(np.arange(200) < familiar, 0.95, 0.0)
    share = forgotten_share(np.ones(1), np.ones(1), level[:1], level, error)
    assert share is not None
    assert claim(share) == said
