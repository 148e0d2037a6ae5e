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
    Plan,
    Try,
    next_plan,
    objection,
    plans_for,
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


def tried(lr: float, best: Evaluation | None, longer: int = 1) -> Try:
    nothing = cast(Any, SimpleNamespace())
    return Try(Plan(lr, longer), nothing, nothing, None, best, {})


def after(gap: float, distance: float = 0.0) -> Evaluation:
    return Evaluation(1, distance, gap, 100.0, 70.0)


def test_weak_runs_raise_the_rate_and_harmful_runs_lower_it() -> None:
    plans, before = plans_for([1.0, 0.3, 3.0], lengthens=False), after(30, 0.4)
    assert next_plan(plans, [], before) == (1.0, 1)
    assert next_plan(plans, [tried(1.0, after(9))], before) == (3.0, 1)
    assert next_plan(plans, [tried(1.0, None)], before) == (0.3, 1)
    assert next_plan(plans, [tried(1.0, after(9)), tried(3.0, None)], before) is None
    assert next_plan(plans, [tried(1.0, None), tried(0.3, None)], before) is None


def test_a_short_list_that_is_still_far_from_its_expectation_gets_more_steps() -> None:
    """On a net of 600 digits, 20 steps moved 20 samples by a fifth of the way, 60 steps by 90 %."""
    plans, before = plans_for([1.0, 0.3, 3.0], lengthens=True), after(30, 0.4)
    far, near = after(20, 0.3), after(9, 0.08)
    first = [tried(1.0, far), tried(3.0, None)]
    assert next_plan(plans, first, before) == (1.0, 3)
    assert next_plan(plans, [*first, tried(1.0, near, 3)], before) is None
    assert next_plan(plans, [*first, tried(1.0, far, 3)], before) == (3.0, 3)
    assert next_plan(plans, [tried(1.0, None), tried(0.3, far)], before) is None  # it did harm
    assert next_plan(plans, [tried(1.0, near), tried(3.0, near)], before) is None


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
    plans = plans_for([1.0, 0.3, 3.0], lengthens=False)
    assert next_plan(plans, [Try(plans[0])], after(30)) == (0.3, 1)
    assert min([tried(1.0, after(9)), Try(plans[2])], key=lambda one: one.score).lr == 1.0


def test_a_larger_rate_may_cost_one_point_of_accuracy_and_must_come_closer() -> None:
    first = replace(after(9), retain_accuracy=99.0, heldout_accuracy=70.0)
    assert not objection(replace(first, heldout_accuracy=69.2), first)
    assert "accuracy" in objection(replace(first, heldout_accuracy=68.8), first)
    assert "accuracy" in objection(replace(first, retain_accuracy=97.0), first)
    assert "no closer" in objection(replace(first, distance=0.11, estimated_gap=0.0), first)
    assert not objection(first, None)
