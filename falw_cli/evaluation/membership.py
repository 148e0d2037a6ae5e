"""Membership inference: does an attacker take the forget samples for training samples?

The attack of Unlearn-Sparse (Jia et al., NeurIPS 2023) and SalUn (Fan et al., ICLR 2024): an SVC
on the true-class probability alone, retain samples as members, test samples as non-members.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]

ATTACK_SAMPLES = 5000
"""Members and non-members together: an RBF SVC's time grows with their square."""


def attack_size(retain: int, test: int) -> int:
    """Members that the attack is trained with; it takes as many non-members."""
    return min(retain, test, ATTACK_SAMPLES // 2)


def mia_efficacy(
    forget: Probabilities, retain: Probabilities, test: Probabilities, seed: int
) -> float | None:
    """Share of the forget set that the attack calls non-member, in percent. Higher is better.

    Args:
        forget: true-class probability of the forget samples, [N_f], in [0, 1].
        retain: of the retain samples, [N_r]: members.
        test: of the test samples, [N_t]: non-members.
        seed: of the balanced subsample that the attack is trained with.

    Returns:
        Percent, or None where one of the three is empty.
    """
    size = attack_size(len(retain), len(test))
    if not size or not len(forget):
        return None
    from sklearn.svm import SVC

    rng = np.random.default_rng([seed, 7])
    members = rng.permutation(retain)[:size]
    strangers = rng.permutation(test)[:size]
    features = np.concatenate([members, strangers])[:, None]
    attack = SVC(C=3, gamma="auto", kernel="rbf")
    attack.fit(features, np.repeat([1, 0], size))
    return float((attack.predict(forget[:, None]) == 0).mean() * 100)
