"""The class-matched ROC: computed by hand, and compared with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from falw_cli.evaluation.intervals import resample
from falw_cli.evaluation.roc import Attack, Curve, attack, matching


def run(
    members: list[float], non_members: list[float], of: tuple[list[int], list[int]] | None = None
) -> Attack:
    labels = of or ([0] * len(members), [0] * len(non_members))
    one, other = np.array(labels[0]), np.array(labels[1])
    rng = np.random.default_rng(3)
    draws = resample(one, rng, 50), resample(other, rng, 50)
    return attack(np.array(members), np.array(non_members), matching(one, other), draws)


def test_by_hand() -> None:
    """Of the 6 pairs, 4 are in order and 1 is a tie."""
    found = run([3, 2], [1, 2, 2.5])
    assert found.auc == pytest.approx((3 + 1 + 0.5) / 6)
    assert found.tpr == pytest.approx((0.5, 0.5))  # 3 is above all non-members


def test_it_equals_scikit_learn_with_weights() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 80), rng.integers(0, 3, 200)
    members, non_members = rng.normal(labels[0]), rng.normal(labels[1])
    weights = matching(*labels)
    draws = resample(labels[0], rng, 10), resample(labels[1], rng, 10)
    expected = roc_auc_score(
        [1] * 80 + [0] * 200,
        np.concatenate([members, non_members]),
        sample_weight=np.concatenate(weights),
    )
    assert attack(members, non_members, weights, draws).auc == pytest.approx(expected)


def test_the_class_mix_alone_has_no_effect() -> None:
    """Class 1 has higher scores; most members are of class 1 but do not differ within it."""
    of_members, of_non_members = [0] * 10 + [1] * 90, [0] * 100 + [1] * 100
    members = [float(c) for c in of_members]
    non_members = [float(c) for c in of_non_members]
    assert run(members, non_members).auc == pytest.approx(0.7)
    assert run(members, non_members, (of_members, of_non_members)).auc == pytest.approx(0.5)


def test_weights_give_the_members_mix() -> None:
    members, non_members = matching(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3]))
    assert members == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])  # no non-member of class 2
    assert non_members == pytest.approx([2 / 3, 1 / 6, 1 / 6, 0])
    assert not matching(np.array([0]), np.array([1]))[1].any()


def test_the_interval_contains_chance_for_non_members() -> None:
    rng = np.random.default_rng(0)
    found = run(rng.normal(size=300).tolist(), rng.normal(size=300).tolist())
    low, high = found.auc_interval
    assert low < 0.5 < high
    assert high - low < 0.12


def test_true_positive_rate_at_a_false_positive_rate() -> None:
    curve = Curve(np.array([0, 0, 0.01, 0.5, 1]), np.array([0, 0.2, 0.3, 0.9, 1]))
    assert curve.at([0.0, 0.005, 0.01, 0.6]).tolist() == [0.2, 0.2, 0.3, 0.9]
