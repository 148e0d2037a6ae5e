"""Strength of the shadow-model attacks, and their result on the audited model.

The strength is measured on the shadow models, each attacked with the others, since it is known
what they unlearned. Then the audited model is attacked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from falw_cli.evaluation import intervals, roc
from falw_cli.evaluation.intervals import Counts
from falw_cli.evaluation.membership import attack_figures
from falw_cli.evaluation.metrics import Figure
from falw_cli.evaluation.per_sample import PerSample, SampleAttack
from falw_cli.shadow import attacks
from falw_cli.shadow.attacks import Matrix, Members, Sides, Vector

FALSE_POSITIVES = 0.01
PERMUTATIONS = 20


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
    model: ModelOutputs, shadows: ModelOutputs, members: Members, label: Counts, seed: int
) -> PerSample:
    """Run all attacks.

    Args:
        model: outputs of the audited model, one row.
        shadows: outputs of the shadow models.
        members: which model unlearned which sample, [M, N].
        label: class of each forget sample, [N].
        seed: random seed of the resamples.
    """
    rng = np.random.default_rng([seed, 12])
    draws = intervals.resample(label, rng)
    found = {
        name: _attack(scorer, model, shadows, members, draws, rng)
        for name, scorer in (("ulira", _ulira), ("rmia", _rmia))
    }
    distances = attacks.klom(*attacks.split(shadows.margins, members))
    chance = [
        attacks.klom(*attacks.split(shadows.margins, rng.permuted(members, axis=0))).mean()
        for _ in range(PERMUTATIONS)
    ]
    low, high = intervals.around(float(distances.mean()), intervals.means(draws, distances))
    return PerSample(
        models=len(members),
        forget=len(label),
        ulira=found["ulira"],
        rmia=found["rmia"],
        klom=Figure(value=float(distances.mean()), lower=max(0.0, low), upper=high),
        klom_chance=float(np.mean(chance)),
    )


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
