"""Evidence per sample on synthetic margins, with known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from falw_cli.shadow.evidence import (
    Margins,
    evidence,
    log_ratio,
    membership,
    per_sample_evidence,
    upper_bound,
    with_or_without,
)


def test_log_ratio_by_hand() -> None:
    """Inside: mean 4, outside: mean 1, variance 2 each, so the scale is sqrt(2 * 1.5) and t has one
    degree of freedom. At 4, the densities are in the ratio 1 + (3 / sqrt(3)) ** 2 to 1."""
    inside, outside = np.array([[3.0], [5.0]]), np.array([[0.0], [2.0]])
    assert log_ratio(np.array([4.0]), inside, outside) == pytest.approx([math.log(4)])
    assert log_ratio(np.array([2.5]), inside, outside) == pytest.approx([0])


def test_a_learned_sample_is_distinguished_as_far_as_the_models_can_show() -> None:
    rng = np.random.default_rng(0)
    hard = np.array([-3.0, 0.0, 5.0])
    inside, outside = hard + 6 + rng.normal(size=(8, 3)), hard + rng.normal(size=(8, 3))
    for one in evidence(hard + 6, inside, outside):
        assert one.log_ratio > 5
        assert one.membership == pytest.approx(90)
        assert one.false_positive_rate == pytest.approx(100 / 9)
        assert one.upper == pytest.approx(100 * (1 - 0.05 ** (1 / 8)))
    for one in evidence(hard, inside, outside):
        assert one.membership == pytest.approx(10)
        assert one.false_positive_rate > 20


@pytest.mark.parametrize("lift", [0.0, 2.0])
def test_false_positive_rates_of_unseen_samples_are_uniform(lift: float) -> None:
    """Whether or not the shadow models memorise the sample."""
    rng, models, draws = np.random.default_rng(1), 4, 1500
    found = np.array([
        evidence(
            rng.normal(size=1), lift + rng.normal(size=(models, 1)), rng.normal(size=(models, 1))
        )[0].false_positive_rate
        for _ in range(draws)
    ])  # fmt: skip
    ranks = np.bincount(np.rint(found / 20).astype(int), minlength=6)[1:]
    assert ranks.sum() == draws
    assert np.abs(ranks / draws - 0.2).max() < 4 * math.sqrt(0.2 * 0.8 / draws)


def test_membership_of_few_models_is_rarely_wrong() -> None:
    """The probability of the truth is below 5 % in at most 5 % of cases, with one sample and 2
    models per side."""
    rng, draws = np.random.default_rng(2), 1000
    wrong = 0
    for number in range(draws):
        member = number % 2 == 0
        inside, outside = 2 + rng.normal(size=(2, 1)), rng.normal(size=(2, 1))
        found = evidence(2 * member + rng.normal(size=1), inside, outside)[0].membership
        wrong += (found if member else 100 - found) < 5
    assert wrong / draws < 0.05


@pytest.mark.parametrize(
    ("log_ratio", "rate", "found"),
    [(9.0, 1 / 9, 0.9), (9.0, 3 / 9, 0.75), (-9.0, 1.0, 0.1), (0.0, 1 / 9, 0.5), (0.0, 1.0, 0.5)],
)
def test_membership_says_no_more_than_the_models_can_show(
    log_ratio: float, rate: float, found: float
) -> None:
    assert membership(log_ratio, rate, learned=8) == pytest.approx(found)


def test_upper_bound_by_hand() -> None:
    assert upper_bound(0, 8) == pytest.approx(1 - 0.05 ** (1 / 8))
    assert upper_bound(8, 8) == 1
    assert upper_bound(7, 8) == pytest.approx(0.95 ** (1 / 8))


def test_more_models_include_the_fewer_ones() -> None:
    members = with_or_without(8, 3)
    assert (members.sum(axis=0) == 4).all()
    assert (members.all(axis=1) == members.any(axis=1)).all()
    assert (members[:4] == with_or_without(4, 3)).all()


def test_a_list_of_one_and_the_order_of_the_list() -> None:
    rng = np.random.default_rng(3)
    members = with_or_without(4, 1)
    shadows = Margins(np.array([4.0]), 4.0 * members + rng.normal(size=(4, 1)) * 0.1)
    found = per_sample_evidence(shadows, None, members, [1])
    assert (found.models, found.forget, len(found.samples)) == (4, 1, 1)
    assert found.samples[0].before is None
    assert found.smallest_rate == pytest.approx(100 / 3)
    assert found.samples[0].after.false_positive_rate == found.smallest_rate

    members = with_or_without(4, 2)
    two = Margins(np.array([4.0, 0.0]), 4.0 * members + rng.normal(size=(4, 2)) * 0.1)
    found = per_sample_evidence(two, two, members, [2, 1])
    assert [one.position for one in found.samples] == [1, 2]
    first, second = found.samples
    assert first.before is not None
    assert second.before is not None
    assert first.before.membership < 50 < second.before.membership
