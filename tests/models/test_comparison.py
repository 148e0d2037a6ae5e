"""Retrained models that were trained in another way."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.config.settings import Preprocessing, TrainRecipe
from falw_cli.models.checkpoint import Checkpoint, Metadata
from falw_cli.models.comparison import other_recipe


def trained(recipe: TrainRecipe | None) -> Checkpoint:
    said = Metadata(
        arch="tiny-cnn", classes=("a", "b"), preprocessing=Preprocessing(), recipe=recipe
    )
    return Checkpoint(Path("m"), "0", {}, metadata=said)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [(TrainRecipe(epochs=5), ""), (TrainRecipe(epochs=6), "epochs 6, not 5"), (None, "")],
)
def test_a_reference_of_another_recipe_is_reported(recipe: TrainRecipe | None, said: str) -> None:
    found = other_recipe(trained(recipe), trained(TrainRecipe(epochs=5)))
    assert bool(found) is bool(said)
    assert said in found
    assert not other_recipe(trained(recipe), trained(None))
