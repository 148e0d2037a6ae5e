"""Learning-rate search without a retrained model."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from falw_cli.errors import DivergedError, RunError
from falw_cli.runtime.progress import Silent
from falw_cli.unlearning.lr_search import (
    FACTORS,
    Try,
    next_rate,
    objection,
    probe_rates,
    sensitivity_scale,
    short_list_scale,
    succeeded,
)
from falw_cli.unlearning.stop_estimate import Evaluation


def at(gap: float) -> Evaluation:
    return Evaluation(0, 0.1, gap, 99.0, 70.0)


def test_the_closest_probe_within_the_guard_wins() -> None:
    """The rate that comes closest harms utility too much, and the largest rate diverges."""
    own = 0.01
    found = {
        0.03: (at(0.5), True),
        0.1: (at(0.3), True),
        0.3: (at(0.2), True),
        1.0: (at(0.05), False),
    }

    def run(lr: float) -> tuple[Evaluation, bool]:
        factor = min(FACTORS, key=lambda f: abs(f * own - lr))
        if factor not in found:
            raise DivergedError("the loss is nan", "take a smaller --lr")
        return found[factor]

    lr, probes = probe_rates(own, at(0.6), run, Silent())
    assert lr == pytest.approx(0.3 * own)
    assert [probe.found is None for probe in probes] == [False, False, False, False, True]


def test_no_rate_is_chosen_if_all_probes_harm() -> None:
    with pytest.raises(RunError, match="no learning rate"):
        probe_rates(0.1, at(0.6), lambda _: (at(0.1), False), Silent())


def test_no_rate_is_chosen_if_no_probe_comes_closer() -> None:
    """A rate that moves the model further away must not be chosen."""
    with pytest.raises(RunError, match="no learning rate"):
        probe_rates(0.1, at(0.1), lambda _: (at(0.2), True), Silent())


def tried(lr: float, best: Evaluation | None) -> Try:
    nothing = cast(Any, SimpleNamespace())
    return Try(lr, nothing, nothing, None, best, {})


def after(gap: float, distance: float = 0.0) -> Evaluation:
    return Evaluation(1, distance, gap, 100.0, 70.0)


def test_weak_runs_raise_the_rate_and_harmful_runs_lower_it() -> None:
    rates = [1.0, 0.3, 3.0]
    assert next_rate(rates, []) == 1.0
    assert next_rate(rates, [tried(1.0, after(9))]) == 3.0
    assert next_rate(rates, [tried(1.0, None)]) == 0.3
    assert next_rate(rates, [tried(1.0, after(9)), tried(3.0, None)]) is None
    assert next_rate(rates, [tried(1.0, None), tried(0.3, None)]) is None


def test_a_run_has_arrived_near_the_expectation() -> None:
    before = after(30, 0.4)
    assert succeeded(after(3, 0.02), before)
    assert not succeeded(after(17, 0.2), before)
    assert not succeeded(None, before)
    assert succeeded(after(1.5), after(1.6))  # nothing to forget


@pytest.mark.parametrize(("count", "scale"), [(1, 0.1414), (13, 0.51), (50, 1), (5000, 1)])
def test_short_lists_take_smaller_steps(count: int, scale: float) -> None:
    assert short_list_scale(count) == pytest.approx(scale, abs=1e-3)


@pytest.mark.parametrize(
    ("found", "scale"),
    [(0, 1), (10_000, 1), (40_000, 0.5), (1e9, 0.25), (math.inf, 1), (math.nan, 1)],
)
def test_sensitive_networks_take_smaller_steps(found: float, scale: float) -> None:
    assert sensitivity_scale(found) == pytest.approx(scale)


def test_a_diverged_run_lowers_the_rate_and_is_never_chosen() -> None:
    rates = [1.0, 0.3, 3.0]
    assert next_rate(rates, [Try(1.0)]) == 0.3
    assert min([tried(1.0, after(9)), Try(3.0)], key=lambda one: one.score).lr == 1.0


def test_a_larger_rate_may_cost_one_point_of_accuracy_and_must_come_closer() -> None:
    first = replace(after(9), retain_accuracy=99.0, heldout_accuracy=70.0)
    assert not objection(replace(first, heldout_accuracy=69.2), first)
    assert "accuracy" in objection(replace(first, heldout_accuracy=68.8), first)
    assert "accuracy" in objection(replace(first, retain_accuracy=97.0), first)
    assert "no closer" in objection(replace(first, distance=0.11, estimated_gap=0.0), first)
    assert not objection(first, None)
