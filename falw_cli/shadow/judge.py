"""Strength of the shadow-model attacks, and their result on the audited model.

The strength is measured on the shadow models, each attacked with the others, since it is known
what they unlearned. Then the audited model is attacked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from falw_cli.evaluation import intervals, roc
from falw_cli.evaluation.intervals import Interval
from falw_cli.evaluation.membership import attack_figures
from falw_cli.evaluation.metrics import Figure
from falw_cli.evaluation.per_sample import PerSample, SampleAttack
from falw_cli.shadow import attacks
from falw_cli.shadow.attacks import Matrix, Members, Sides, Vector

FALSE_POSITIVES = 0.01
PERMUTATIONS = 20
LARGEST = -float(np.log(attacks.LEAST))
"""Largest KLoM, nats."""


@dataclass(frozen=True)
class ModelOutputs:
    """Outputs of models: margins and true-class probabilities of forget and of unseen samples."""

    margins: Matrix
    """[M, N]"""
    probs: Matrix
    """[M, N]"""
    population: Matrix
    """[M, Z]"""


Scorer = Callable[[ModelOutputs, ModelOutputs, Sides], Vector]
"""Returns scores [N] from a model's outputs, the shadow models' outputs, and their sides."""


def _ulira(model: ModelOutputs, shadows: ModelOutputs, sides: Sides) -> Vector:
    return attacks.ulira(model.margins[0], shadows.margins, sides)


def _rmia(model: ModelOutputs, shadows: ModelOutputs, sides: Sides) -> Vector:
    model_outputs = (model.probs[0], model.population[0], shadows.probs, shadows.population)
    return attacks.rmia(*model_outputs, sides)


def run_attacks(
    model: ModelOutputs, shadows: ModelOutputs, members: Members, seed: int
) -> PerSample:
    """Run all attacks.

    Args:
        model: outputs of the audited model, one row.
        shadows: outputs of the shadow models.
        members: which model unlearned which sample, [M, N].
        seed: random seed of the resamples.
    """
    rng = np.random.default_rng([seed, 12])
    count = members.shape[1]
    # Not by class: a class of one sample would never vary.
    draws = intervals.resample(np.zeros(count, dtype=np.int64), rng)
    found = {
        name: _attack(scorer, model, shadows, members, draws, rng)
        for name, scorer in (("ulira", _ulira), ("rmia", _rmia))
    }
    distances = attacks.klom(*attacks.split(shadows.margins, members))
    chance = [
        attacks.klom(*attacks.split(shadows.margins, rng.permuted(members, axis=0))).mean()
        for _ in range(PERMUTATIONS)
    ]
    mean = float(distances.mean())
    return PerSample(
        models=len(members),
        forget=count,
        ulira=found["ulira"],
        rmia=found["rmia"],
        klom=Figure.of(mean, _around(mean, distances, LARGEST)),
        klom_chance=float(np.mean(chance)),
    )


def _around(value: float, parts: Vector, largest: float) -> Interval:
    """Return Student's interval of a figure in [0, largest] to which each sample adds a part.

    One more deviation, of half the largest value, keeps the width above 0 if all parts are equal.
    """
    from scipy.stats import t

    freedom = max(1, len(parts) - 1)
    squares = float(((parts - parts.mean()) ** 2).sum()) + (largest / 2) ** 2
    half = float(t.ppf(0.975, freedom)) * (squares / freedom / len(parts)) ** 0.5
    return max(0.0, value - half), min(max(largest, value), value + half)


def _parts(scores: Matrix, members: Members) -> Vector:
    """Return each sample's part of the AUC, for the outputs on one sample are not independent.

    It is the sum of two mean ranks: of the sample's member scores among all others, and of its
    other scores among all members (Obuchowski, 1997). [M, N] -> [N]
    """
    parts = np.zeros(scores.shape[1])
    for side in (members, ~members):
        among = np.sort(scores[~side])
        low, high = (np.searchsorted(among, scores, end) for end in ("left", "right"))
        rank = (low + high) / (2 * len(among))
        parts += np.where(side, rank if side is members else 1 - rank, 0).sum(0) / side.sum(0)
    return parts


def _attack(
    scorer: Scorer,
    model: ModelOutputs,
    shadows: ModelOutputs,
    members: Members,
    draws: npt.NDArray[np.uint8],
    rng: np.random.Generator,
) -> SampleAttack:
    rows = range(len(members))
    scores = np.stack([_left_out(scorer, shadows, members, row, rng) for row in rows])
    inside, outside = np.nonzero(members), np.nonzero(~members)
    weights = tuple(np.full(len(side[0]), 1 / len(side[0])) for side in (inside, outside))
    # Resample whole samples: the outputs of all models on one sample are not independent.
    found = roc.attack(
        scores[inside], scores[outside], (weights[0], weights[1]),
        (draws[:, inside[1]], draws[:, outside[1]]),
    )  # fmt: skip
    found = replace(
        found, auc_interval=_around(found.auc, _parts(scores, members), 1),
        tpr_intervals=tuple(
            (min(ends[0], low), max(ends[1], high))
            for rate, ends in zip(found.tpr, found.tpr_intervals, strict=True)
            for low, high in [intervals.wilson(rate, members.shape[1])]
        ),
    )  # fmt: skip
    threshold = np.quantile(scores[outside], 1 - FALSE_POSITIVES, method="higher")
    distinguished = scorer(model, shadows, (members, ~members)) > threshold
    share = float(distinguished.mean())
    found_here = Figure.of(share, intervals.wilson(share, len(distinguished)), 100)
    return SampleAttack(**attack_figures(found).model_dump(), distinguished=found_here)


def _left_out(
    scorer: Scorer, shadows: ModelOutputs, members: Members, row: int, rng: np.random.Generator
) -> Vector:
    """Return the scores of one shadow model from all the others."""
    parts = (shadows.margins, shadows.probs, shadows.population)
    one = ModelOutputs(*(part[row : row + 1] for part in parts))
    return scorer(one, shadows, attacks.left_out(members, row, rng))
