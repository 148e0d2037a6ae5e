"""Learning-rate schedules end at the right value for any number of steps."""

from __future__ import annotations

import pytest
import torch

from falw_cli.config.settings import Recipe
from falw_cli.training import recipe


def rates(name: str, steps: int) -> list[float]:
    chosen = recipe.optimizer(torch.nn.Linear(1, 1), Recipe(lr=1.0))
    plan = recipe.schedule(chosen, Recipe.model_validate({"lr": 1.0, "schedule": name}), steps)
    found = []
    for _ in range(steps):
        found.append(chosen.param_groups[0]["lr"])
        chosen.step()
        plan.step()
    return found


def test_step_divides_by_ten_twice() -> None:
    assert rates("step", 8) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_falls_from_the_top() -> None:
    found = rates("cosine", 10)
    assert found[0] == 1
    assert found[5] == pytest.approx(0.5)
    assert found == sorted(found, reverse=True)


def test_one_cycle_rises_and_falls() -> None:
    found = rates("one-cycle", 50)
    assert max(found) == pytest.approx(1, abs=0.01)
    assert found.index(max(found)) in (9, 10)
    assert found[-1] < 0.01


def test_constant_stays() -> None:
    assert set(rates("constant", 5)) == {1.0}


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one-cycle"])
@pytest.mark.parametrize("steps", range(1, 9))
def test_few_steps_are_enough(name: str, steps: int) -> None:
    assert all(rate >= 0 for rate in rates(name, steps))
    assert max(rates(name, steps)) > 0
