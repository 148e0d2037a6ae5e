"""1-Wasserstein distance to unseen data, with its permutation test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from falw_cli.evaluation.intervals import resample
from falw_cli.evaluation.wasserstein import ClassDistance, class_distance, combined


def distance(forget: np.ndarray, unseen: np.ndarray, seed: int = 0) -> ClassDistance:
    rng = np.random.default_rng(seed)
    draws = [resample(np.zeros(len(part), dtype=np.int64), rng, 60) for part in (forget, unseen)]
    return class_distance(forget, unseen, (draws[0], draws[1]), rng)


def test_it_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    forget, unseen = rng.uniform(0, 1, 37), rng.beta(2, 1, 90)
    assert distance(forget, unseen).value == pytest.approx(wasserstein_distance(forget, unseen))


def test_by_hand() -> None:
    """Half of the mass moves by 1."""
    assert distance(np.array([0.0, 1.0]), np.zeros(2)).value == pytest.approx(0.5)


def test_memorised_samples_are_far_and_significant() -> None:
    rng = np.random.default_rng(0)
    found = combined([distance(rng.uniform(0.9, 1, 60), rng.uniform(0, 1, 200))], [60])
    assert found.p_value == pytest.approx(1 / 1000)
    assert found.lower > found.chance


def test_samples_of_one_distribution_are_at_chance() -> None:
    """40 pairs of samples from one distribution: about 5 % false alarms."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = distance(rng.beta(5, 1, 50), rng.beta(5, 1, 100), seed)
        alarms += combined([found], [50]).p_value <= 0.05
    assert alarms <= 5


def test_classes_are_weighted_by_their_forget_samples() -> None:
    near, far = distance(np.zeros(5), np.zeros(5)), distance(np.zeros(5), np.ones(5))
    assert combined([near, far], [30, 10]).value == pytest.approx(0.25)
