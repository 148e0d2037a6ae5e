"""U-LiRA, RMIA and KLoM, computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from falw_cli.shadow import attacks

MEMBERS = np.array([[True], [True], [False], [False]])
SIDES = (MEMBERS, ~MEMBERS)


def test_margin_is_the_logit_of_p() -> None:
    loss = -np.log(np.array([0.8, 0.5]))
    assert attacks.margin(loss) == pytest.approx([math.log(4), 0.0])
    assert np.isfinite(attacks.margin(np.array([0.0, 700.0]))).all()


def test_each_sample_is_in_half_of_the_models() -> None:
    members = attacks.halves(8, 100, np.random.default_rng(0))
    assert (members.sum(axis=0) == 4).all()
    assert 30 < members[0].sum() < 70


def test_ulira_by_hand() -> None:
    """In: 3 and 5, mean 4, variance 2. Out: 0 and 2, mean 1, variance 2. At 4 the ratio is
    (4 - 1)^2 / (2 * 2); at 2.5, equally far from both means, it is 0."""
    margins = np.array([[3.0], [5.0], [0.0], [2.0]])
    assert attacks.ulira(np.array([4.0]), margins, SIDES) == pytest.approx([9 / 4])
    assert attacks.ulira(np.array([2.5]), margins, SIDES) == pytest.approx([0])


def test_variances_differ_by_side() -> None:
    """Out: 0 and 4, mean 2, variance 8: at 4, -(0) - log(2)/2 against -(4 / 16) - log(8)/2."""
    margins = np.array([[3.0], [5.0], [0.0], [4.0]])
    expected = -0.5 * math.log(2) + 4 / 16 + 0.5 * math.log(8)
    assert attacks.ulira(np.array([4.0]), margins, SIDES) == pytest.approx([expected])


def test_rmia_by_hand() -> None:
    """p(x) is (0.6 + 0.2) / 2 = 0.4, so the sample's ratio is 2; those of the population are 1.5,
    1 and 0.5, and two of them are at most half of the sample's ratio."""
    probs = np.array([[0.5], [0.7], [0.1], [0.3]])
    of_population = np.full((4, 3), 0.4)
    population = np.array([0.6, 0.4, 0.2])
    found = attacks.rmia(np.array([0.8]), population, probs, of_population, SIDES)
    assert found == pytest.approx([2 / 3])


def test_klom_by_hand() -> None:
    """Margins 0 and 10 span 20 bins. Unlearned: all at 0. Retrained: half at 0, half at 10."""
    unlearned = np.zeros((4, 1))
    retrained = np.array([[0.0], [0.0], [10.0], [10.0]])
    assert attacks.klom(unlearned, retrained) == pytest.approx([math.log(2)])
    # Swapped, half of the mass is in a bin that is empty in the other set: log(0.5 / 1e-5).
    expected = 0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-5)
    assert attacks.klom(retrained, unlearned) == pytest.approx([expected])


def test_klom_of_equal_distributions_is_0() -> None:
    same = np.random.default_rng(0).normal(size=(6, 5))
    assert attacks.klom(same, same) == pytest.approx(np.zeros(5))
    assert attacks.klom(np.ones((3, 2)), np.ones((3, 2))) == pytest.approx(np.zeros(2))


def test_a_left_out_model_leaves_sides_of_one_size() -> None:
    members = attacks.halves(6, 50, np.random.default_rng(1))
    inside, outside = attacks.left_out(members, 2, np.random.default_rng(2))
    assert not inside[2].any()
    assert not outside[2].any()
    assert (inside.sum(axis=0) == 2).all()
    assert (outside.sum(axis=0) == 2).all()
    assert (inside <= members).all()
    assert (outside <= ~members).all()


def test_columns_are_split_by_membership() -> None:
    members = np.array([[True, False], [False, True]])
    inside, outside = attacks.split(np.array([[1.0, 2.0], [3.0, 4.0]]), members)
    assert (inside.tolist(), outside.tolist()) == ([[1, 4]], [[3, 2]])
