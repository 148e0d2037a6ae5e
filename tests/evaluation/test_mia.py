"""The standard membership attack: members vs. non-members, by the true-class probability."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import SVC

from falw_cli.evaluation.intervals import Vector
from falw_cli.evaluation.mia import ATTACK_SAMPLES, attack_size, predicted_non_members

RNG = np.random.default_rng(0)
SURE = RNG.uniform(0.97, 1.0, 400)
UNSURE = RNG.uniform(0.0, 0.8, 300)


def mia_efficacy(forget: Vector, retain: Vector, test: Vector, seed: int) -> float:
    """Return the percentage of forget samples that the attack classifies as non-members."""
    flags = predicted_non_members(forget, retain, test, seed)
    assert flags is not None
    return float(100 * flags.mean())


def test_forgotten_samples_are_classified_as_non_members() -> None:
    assert mia_efficacy(UNSURE[:50], SURE, UNSURE, seed=0) == 100
    assert mia_efficacy(SURE[:50], SURE, UNSURE, seed=0) == 0


def test_it_is_the_svc_of_the_papers() -> None:
    """With equal set sizes nothing is subsampled, so the result equals scikit-learn's."""
    rng = np.random.default_rng(0)
    forget = rng.uniform(0, 1, 80)
    members = SURE[:300]
    attack = SVC(C=3, gamma="auto", kernel="rbf")
    attack.fit(np.concatenate([members, UNSURE])[:, None], [1] * 300 + [0] * 300)
    expected = (attack.predict(forget[:, None]) == 0).mean() * 100
    assert mia_efficacy(forget, members, UNSURE, seed=5) == pytest.approx(expected)


def test_results_are_reproducible() -> None:
    rng = np.random.default_rng(0)
    forget = rng.uniform(0.5, 1, 80)
    assert mia_efficacy(forget, SURE, UNSURE, 1) == mia_efficacy(forget, SURE, UNSURE, 1)


def test_members_and_non_members_are_equal_in_number_and_bounded() -> None:
    assert attack_size(400, 300) == 300
    assert 2 * attack_size(10**6, 10**6) == ATTACK_SAMPLES


def test_empty_sets_have_no_value() -> None:
    assert predicted_non_members(SURE[:0], SURE, UNSURE, 0) is None
    assert predicted_non_members(SURE, SURE, UNSURE[:0], 0) is None
