"""The state of a run, put back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from falw_cli.architectures import tiny_cnn
from falw_cli.config import Recipe
from falw_cli.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.training.state import State, StateFile


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_slots_come_back_in_the_memory_format_of_their_weights(name: str, tmp_path: Path) -> None:
    """torch's fused optimizers go by memory alone: another format would be silently wrong."""
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
