"""Attacks on synthetic ensembles: strong if samples were learned, at chance if not."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.evaluation.per_sample import PerSample
from falw_cli.shadow.attacks import halves
from falw_cli.shadow.judge import ModelOutputs, run_attacks

MODELS, COUNT = 8, 300


def model_outputs(rng: np.random.Generator, lifted: np.ndarray, hard: np.ndarray) -> ModelOutputs:
    """Return margins of samples of difficulty `hard`, higher by `lifted` where learned."""
    margins = hard + lifted + rng.normal(size=lifted.shape) * 0.5
    population = 1 / (1 + np.exp(-rng.normal(size=(len(margins), 400))))
    return ModelOutputs(margins, 1 / (1 + np.exp(-margins)), population)


def run(shadows_lift: float, model_lift: float, count: int = COUNT) -> PerSample:
    rng = np.random.default_rng(0)
    members = halves(MODELS, count, rng)
    hard = rng.normal(size=count) * 2
    shadows = model_outputs(rng, shadows_lift * members, hard)
    model = model_outputs(rng, np.full((1, count), model_lift), hard)
    return run_attacks(model, shadows, members, seed=0)


def test_remaining_memory_is_detected_per_sample() -> None:
    found = run(2.0, 2.0)
    assert found.ulira.auc.lower > 0.9
    assert found.rmia.auc.lower > 0.8
    assert found.ulira.distinguished.lower > 20
    assert found.klom.lower > found.klom_chance


def test_without_memory_attacks_are_at_chance() -> None:
    found = run(0.0, 0.0)
    for attack in (found.ulira, found.rmia):
        assert attack.auc.lower < 0.5 < attack.auc.upper
        assert attack.distinguished.value < 5
    assert found.klom.value == pytest.approx(found.klom_chance, rel=0.1)


def test_a_model_that_forgot_is_distinguished() -> None:
    """The shadow models did not forget; the attacked model did."""
    assert run(2.0, 0.0).ulira.distinguished.value < 5


@pytest.mark.parametrize("lift", [0.0, 100.0])
def test_few_samples_have_intervals_of_some_width(lift: float) -> None:
    """Also if all samples are distinguished, and if each sample is of another class."""
    found = run(lift, lift, count=21)
    figures = [found.klom, found.ulira.auc, found.rmia.auc, found.ulira.tpr_at_fpr_1]
    for one in filter(None, figures):
        assert one.lower <= one.value <= one.upper
        assert one.upper - one.lower > 0.02
