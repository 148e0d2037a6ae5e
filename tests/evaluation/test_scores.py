"""Scores of two classes, computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from falw_cli.evaluation.scores import ATTACK_SCORES, SamplePredictions, columns


def seen(logits: list[list[float]], labels: list[int]) -> SamplePredictions:
    found = columns(torch.tensor(logits), torch.tensor(labels)).numpy().T
    return SamplePredictions(np.array(labels), found[0].astype(np.int64), *found[1:])


def test_by_hand() -> None:
    """p = 0.8 for the true class: its loss is -log 0.8, its logit is log 4 above the other one."""
    one = seen([[math.log(4), 0.0]], [0])
    assert one.prob[0] == pytest.approx(0.8)
    assert one.top[0] == pytest.approx(0.8)
    assert one.loss[0] == pytest.approx(-math.log(0.8))
    assert one.margin[0] == pytest.approx(math.log(4))
    assert one.entropy[0] == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2))
    # Song and Mittal: -(1 - p_y) log p_y - sum over the other classes of p log(1 - p).
    expected = -0.2 * math.log(0.8) - 0.2 * math.log(0.8)
    assert one.modified_entropy[0] == pytest.approx(expected)


def test_a_confident_mistake_has_low_entropy_and_high_modified_entropy() -> None:
    right, wrong = seen([[5.0, 0.0], [5.0, 0.0]], [0, 1]).modified_entropy
    assert wrong > 10 * right
    both = seen([[5.0, 0.0], [5.0, 0.0]], [0, 1])
    assert both.entropy[0] == both.entropy[1]
    assert both.correct.tolist() == [1, 0]


def test_certain_predictions_are_finite_and_distinguished() -> None:
    sure = seen([[90.0, 0.0], [95.0, 0.0]], [0, 0])
    assert sure.prob.tolist() == [1, 1]
    for name in ATTACK_SCORES:
        assert np.isfinite(sure.score(name)).all()
    assert sure.margin[1] > sure.margin[0]


def test_every_score_is_larger_for_what_was_learned() -> None:
    both = seen([[4.0, 0.0], [0.5, 0.0]], [0, 0])
    for name in ATTACK_SCORES:
        assert both.score(name)[0] > both.score(name)[1], name
