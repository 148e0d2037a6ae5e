"""Saving and restoring the state of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from falw_cli.config.settings import Recipe
from falw_cli.models.architectures import tiny_cnn
from falw_cli.runtime.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.training.state import State, StateFile


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_slots_are_restored_in_the_memory_format_of_the_weights(name: str, tmp_path: Path) -> None:
    """torch's fused optimizers ignore strides: another format would be silently wrong."""
    module = tiny_cnn(3, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = Recipe.model_validate({"optimizer": name})
    first, again = optimizer(module, recipe), optimizer(module, recipe)
    for weights in module.parameters():
        weights.grad = torch.randn_like(weights)
    first.step()
    file = StateFile(tmp_path / "state", {"model": "mine"}, resume=True)
    file.save(State.of(module, first, {}, 1, 0.0))
    saved = file.load(Silent())
    assert saved is not None
    saved.restore(module, again, lambda _: None)
    assert again.state
    for weights, slots in again.state.items():
        for slot, value in slots.items():
            torch.testing.assert_close(value, first.state[weights][slot])
            if value.dim():
                assert value.stride() == weights.stride()


def test_each_repetition_of_a_run_keeps_a_separate_state_and_all_are_removed(
    tmp_path: Path,
) -> None:
    """An interrupted repetition is resumed; the first run's state is another file."""
    file = StateFile(tmp_path / "state", {}, resume=True)
    paths = {file.of_try(number).path for number in range(3)}
    assert len(paths) == 3
    for number in range(3):
        file.of_try(number).save(State({}, number, 0.0))
    again = file.of_try(2).load(Silent())
    assert again is not None
    assert again.step == 2
    file.remove()
    assert not any(path.exists() for path in paths)
