"""Membership inference: whether an attacker classifies forget samples as training samples.

The attack of Unlearn-Sparse (Jia et al., NeurIPS 2023) and SalUn (Fan et al., ICLR 2024): an SVC
on the true-class probability alone, retain samples as members, test samples as non-members.
"""

from __future__ import annotations

import numpy as np

from falw_cli.evaluation.intervals import Vector

ATTACK_SAMPLES = 5000
"""Maximum of members plus non-members: an RBF SVC's time grows with the square of their number."""
REFITS = 40
"""Attacks trained again, to estimate the variance of the efficacy."""
REFIT_SAMPLES = 250
"""Maximum number of members, and of non-members, in each of these attacks."""


def attack_size(retain: int, test: int) -> int:
    """Return the number of members, and of non-members, that the attack is trained with."""
    return min(retain, test, ATTACK_SAMPLES // 2)


def predicted_non_members(forget: Vector, retain: Vector, test: Vector, seed: int) -> Vector | None:
    """Return 1 for each forget sample that the attack calls non-member, else 0; [N_f].

    Args:
        forget: true-class probability of the forget samples, [N_f], in [0, 1].
        retain: true-class probability of the retain samples, the members, [N_r].
        test: true-class probability of the test samples, the non-members, [N_t].
        seed: random seed of the balanced subsample that the attack is trained with.

    Returns:
        None if one of the three is empty.
    """
    size = attack_size(len(retain), len(test))
    if not size or not len(forget):
        return None
    rng = np.random.default_rng([seed, 7])
    return _call(forget, rng.permutation(retain)[:size], rng.permutation(test)[:size])


def attack_noise(forget: Vector, retain: Vector, test: Vector, seed: int) -> Vector:
    """Return how the efficacy varies with the samples that the attack is trained with, in percent.

    The attack is retrained on small subsamples. The deviations of its efficacy are scaled to the
    full size by the square root of the ratio of sizes (m-out-of-n bootstrap).

    Args: see `predicted_non_members`; none of the three may be empty.

    Returns:
        Deviations from their mean, [REFITS].
    """
    size = attack_size(len(retain), len(test))
    few = max(2, min(REFIT_SAMPLES, size // 2))
    rng = np.random.default_rng([seed, 8])
    found = np.array(
        [
            _call(forget, rng.permutation(retain)[:few], rng.permutation(test)[:few]).mean() * 100
            for _ in range(REFITS)
        ]
    )
    deviations: Vector = (found - found.mean()) * np.sqrt(few / size)
    return deviations


def _call(forget: Vector, members: Vector, non_members: Vector) -> Vector:
    from sklearn.svm import SVC

    features = np.concatenate([members, non_members])[:, None]
    attack = SVC(C=3, gamma="auto", kernel="rbf")
    attack.fit(features, np.repeat([1, 0], [len(members), len(non_members)]))
    flags: Vector = (attack.predict(forget[:, None]) == 0).astype(np.float64)
    return flags
