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
REFITS = 40
"""Attacks trained again, to see how their figure scatters."""
REFIT_SAMPLES = 250
"""Members, and as many non-members, of each of those."""


def attack_size(retain: int, test: int) -> int:
    """Members that the attack is trained with; it takes as many non-members."""
    return min(retain, test, ATTACK_SAMPLES // 2)


def called_strangers(
    forget: Probabilities, retain: Probabilities, test: Probabilities, seed: int
) -> Probabilities | None:
    """Return 1 for each forget sample that the attack calls non-member, else 0; [N_f].

    Args:
        forget: true-class probability of the forget samples, [N_f], in [0, 1].
        retain: of the retain samples, [N_r]: members.
        test: of the test samples, [N_t]: non-members.
        seed: of the balanced subsample that the attack is trained with.

    Returns:
        None where one of the three is empty.
    """
    size = attack_size(len(retain), len(test))
    if not size or not len(forget):
        return None
    rng = np.random.default_rng([seed, 7])
    return _call(forget, rng.permutation(retain)[:size], rng.permutation(test)[:size])


def attack_noise(
    forget: Probabilities, retain: Probabilities, test: Probabilities, seed: int
) -> Probabilities:
    """How the efficacy scatters with the samples that the attack is trained with, in percent.

    The attack is trained again on small draws, and what it finds is scaled to the size of
    the whole by the square root of the sizes (the m-out-of-n bootstrap).

    Args: see `called_strangers`; none of the three is empty.

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
    deviations: Probabilities = (found - found.mean()) * np.sqrt(few / size)
    return deviations


def _call(forget: Probabilities, members: Probabilities, strangers: Probabilities) -> Probabilities:
    from sklearn.svm import SVC

    features = np.concatenate([members, strangers])[:, None]
    attack = SVC(C=3, gamma="auto", kernel="rbf")
    attack.fit(features, np.repeat([1, 0], [len(members), len(strangers)]))
    flags: Probabilities = (attack.predict(forget[:, None]) == 0).astype(np.float64)
    return flags
