"""Evidence per sample of a short list: likelihood ratio, membership and false-positive rate.

Half of the shadow models were trained with the whole list and then unlearned it, as the audited
model was. The others never saw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit

from falw_cli.evaluation.per_sample import Evidence, PerSample, SampleEvidence
from falw_cli.shadow.attacks import Matrix, Members, Vector

LONGEST = 20
"""Most samples of a short list."""
LEVEL = 0.95
"""Level of the upper bound of a false-positive rate."""


@dataclass(frozen=True)
class Margins:
    """Margins of the list's samples under a model, [N], and under the shadow models, [M, N]."""

    target: Vector
    shadows: Matrix


def with_or_without(models: int, count: int) -> Members:
    """Return which models unlearn each sample: every second model all of them, [M, N].

    A larger ensemble contains the models of a smaller one.
    """
    return np.repeat(np.arange(models)[:, None] % 2 == 0, count, axis=1)


def log_ratio(target: Vector, inside: Matrix, outside: Matrix) -> Vector:
    """U-LiRA for few models: log-likelihood ratio of inside to outside, [N].

    The mean is per sample, the variance of a side is pooled over samples, as in `attacks.ulira`.
    The likelihood is Student's predictive t instead of the normal, because mean and variance come
    from a few models. With 4 models and one sample, the normal gives the truth a probability below
    5 % in 18 % of cases, Student's t in 2 % (`benchmarks/sample_attacks.py`).

    Args:
        target: margins under the audited model, [N].
        inside, outside: margins under the shadow models of each side, [M / 2, N].
    """
    ratio = np.zeros(len(target))
    for side, sign in ((inside, 1), (outside, -1)):
        freedom = (len(side) - 1) * side.shape[1]
        off = side - side.mean(axis=0)
        variance = max(float((off**2).sum()) / freedom, 1e-12)
        scale = np.sqrt(variance * (1 + 1 / len(side)))
        ratio += sign * stats.t.logpdf(target, freedom, side.mean(axis=0), scale)
    return ratio


def evidence(target: Vector, inside: Matrix, outside: Matrix) -> list[Evidence]:
    """Return the evidence that a model learned each sample.

    The false-positive rate is exact: if the model never saw the list, it is one more of the models
    outside, and each of these is scored from all the others. So its rank among them is uniform.

    Args:
        target: margins under the audited model, [N].
        inside, outside: margins under the shadow models of each side, [M / 2, N].
    """
    unseen = np.concatenate([outside, target[None]])
    scores = np.stack([
        log_ratio(row, inside, np.delete(unseen, number, axis=0))
        for number, row in enumerate(unseen)
    ])  # fmt: skip
    larger = (scores[:-1] >= scores[-1]).sum(axis=0)
    return [
        Evidence(
            log_ratio=float(ratio),
            membership=100 * membership(float(ratio), (int(count) + 1) / len(unseen), len(inside)),
            false_positive_rate=100 * (int(count) + 1) / len(unseen),
            upper=100 * upper_bound(int(count), len(outside)),
        )
        for ratio, count in zip(scores[-1], larger, strict=True)
    ]


def membership(log_ratio: float, rate: float, learned: int) -> float:
    """Return the probability that a sample was learned, as far as the models can show it.

    The tails of the fitted distributions are not known from a few models. By Bayes' theorem, a rule
    with the false-positive rate F gives at most 1 / (1 + F), even if it finds every learned sample.
    Likewise, so many models that learned the sample show no miss rate below 1 / (learned + 1).

    Args:
        log_ratio: learned to never seen, nats.
        rate: false-positive rate at this ratio, in (0, 1].
        learned: number of models that learned the sample.
    """
    least = 1 / (learned + 1)
    return min(max(float(expit(log_ratio)), least / (1 + least)), 1 / (1 + rate))


def upper_bound(found: int, count: int) -> float:
    """Return the exact upper bound of a share, `found` of `count` (Clopper and Pearson, 1934)."""
    return 1.0 if found == count else float(stats.beta.ppf(LEVEL, found + 1, count - found))


def per_sample_evidence(
    after: Margins, before: Margins | None, members: Members, positions: Sequence[int]
) -> PerSample:
    """Return the evidence for each sample, in the order of the list.

    Args:
        after: margins of the audited model, and of the shadow models after unlearning.
        before: margins of the original, and of the shadow models before unlearning.
        members: see `with_or_without`.
        positions: position of each sample in the list, from 1.
    """
    inside = members[:, 0]
    found, known = (
        evidence(one.target, one.shadows[inside], one.shadows[~inside]) if one else None
        for one in (after, before)
    )
    assert found is not None
    samples = [
        SampleEvidence(position=position, before=known[n] if known else None, after=found[n])
        for n, position in enumerate(positions)
    ]
    return PerSample(
        models=len(members),
        forget=len(positions),
        samples=sorted(samples, key=lambda one: one.position),
        smallest_rate=100 / (1 + int((~inside).sum())),
    )
