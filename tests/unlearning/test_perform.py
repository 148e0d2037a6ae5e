"""Which step sizes a run tries, and when it needs no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from falw_cli.unlearning.lr_search import Try, arrived, next_rate, short_list_scale
from falw_cli.unlearning.stop_estimate import Look


def tried(lr: float, best: Look | None) -> Try:
    nothing = cast(Any, SimpleNamespace())
    return Try(lr, nothing, nothing, None, best, {})


def at(gap: float, distance: float = 0.0) -> Look:
    return Look(1, distance, gap, 100.0, 70.0)


def test_a_weak_run_is_followed_by_a_larger_step_a_harmful_one_by_a_smaller() -> None:
    rates = [1.0, 0.3, 3.0]
    assert next_rate(rates, []) == 1.0
    assert next_rate(rates, [tried(1.0, at(9))]) == 3.0
    assert next_rate(rates, [tried(1.0, None)]) == 0.3
    assert next_rate(rates, [tried(1.0, at(9)), tried(3.0, None)]) is None
    assert next_rate(rates, [tried(1.0, None), tried(0.3, None)]) is None


def test_a_run_has_arrived_near_the_expectation() -> None:
    before = at(30, 0.4)
    assert arrived(at(3, 0.02), before)
    assert not arrived(at(17, 0.2), before)
    assert not arrived(None, before)
    assert arrived(at(1.5), at(1.6))  # nothing to forget


@pytest.mark.parametrize(("count", "scale"), [(1, 0.4), (16, 0.4), (25, 0.5), (100, 1), (600, 1)])
def test_short_lists_take_smaller_steps(count: int, scale: float) -> None:
    assert short_list_scale(count) == pytest.approx(scale)
