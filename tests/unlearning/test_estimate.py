"""Estimates of the target distribution during a run: exact, and streaming in rotation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from falw_cli.unlearning.estimate import (
    PERIOD,
    RECENCY,
    Estimate,
    Exact,
    Streaming,
)
from falw_cli.unlearning.target import Target

LABEL = torch.arange(60) % 3


def follow(estimate: Estimate, prob: Tensor, steps: range) -> list[int]:
    """Feed `prob` to an estimate over some steps; return the samples that it used per step."""
    looked = []
    for step in steps:
        rows = estimate.due(step)
        looked.append(0 if rows is None else len(rows))
        if rows is not None:
            estimate.take(step, rows, prob[rows])
    return looked


def draw(seed: int) -> Tensor:
    return torch.rand(60, generator=torch.Generator().manual_seed(seed))


def assert_same(one: Target, other: Target) -> None:
    torch.testing.assert_close((one.mu, one.sigma), (other.mu, other.sigma))
    assert torch.equal(one.count, other.count)


@pytest.mark.parametrize(
    "estimate", [Exact(LABEL, 3, 1), Exact(LABEL, 3, 9), Streaming(LABEL, 3, 20, 0)]
)
def test_it_is_exact_at_the_first_step(estimate: Estimate) -> None:
    """The first step need not be step 0: the first batches may have no forget samples."""
    looked = follow(estimate, draw(1), range(5, 6))
    assert looked == [60]
    assert_same(estimate.target, Target.of(draw(1), LABEL, 3))
    assert estimate.effective_samples().tolist() == [20, 20, 20]


def test_a_streaming_step_costs_a_tenth_of_the_batch() -> None:
    """16 of 60 samples per period of 8 steps: two per step of 20 samples."""
    looked = follow(Streaming(LABEL, 3, 20, 0), draw(1), range(4 * PERIOD))
    assert looked[0] == 60
    assert looked[PERIOD::PERIOD] == [16, 16, 16]
    assert sum(looked[1:]) == 48


def test_it_becomes_exact_if_the_model_does_not_change() -> None:
    """After a full rotation, no value from before the change remains."""
    estimate = Streaming(LABEL, 3, 20, 0)
    follow(estimate, draw(1), range(3))
    follow(estimate, draw(2), range(3, 5 * PERIOD))
    known = Target.of(draw(2), LABEL, 3)
    torch.testing.assert_close(estimate.target.prob, known.prob)
    assert (estimate.target.mu - known.mu).abs().max() < 0.1
    assert estimate.effective_samples().max() < 20


def test_recent_values_have_more_weight() -> None:
    """One class of two samples, both 0 at first; then one of them is observed at 1."""
    estimate = Streaming(torch.zeros(2).long(), 1, 1, 0)
    estimate.block = 1
    follow(estimate, torch.zeros(2), range(1))
    follow(estimate, torch.ones(2), range(PERIOD, PERIOD + 1))
    assert estimate.target.mu.item() == pytest.approx(1 / (1 + RECENCY))


@given(st.integers(1, 60), st.integers(0, 4))
def test_state_is_restored_completely(steps: int, seed: int) -> None:
    for made in (lambda: Exact(LABEL, 3, 5), lambda: Streaming(LABEL, 3, 20, seed)):
        undisturbed, first, second = made(), made(), made()
        follow(undisturbed, draw(1), range(80))
        follow(first, draw(1), range(steps))
        second.restore(first.state())
        follow(second, draw(1), range(steps, 80))
        assert torch.equal(second.target.mu, undisturbed.target.mu)
        assert torch.equal(second.effective_samples(), undisturbed.effective_samples())
