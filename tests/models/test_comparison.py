"""Retrained models that were trained in another way."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import cast

import pytest

from falw_cli.config.settings import Preprocessing, TrainRecipe
from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint, LeftOut, Metadata
from falw_cli.models.comparison import Compared, check_original, other_recipe
from falw_cli.models.left_out import AuditedLists
from falw_cli.models.network import Network
from falw_cli.runtime.progress import Silent


def trained(recipe: TrainRecipe | None, left_out: LeftOut | None = None) -> Checkpoint:
    said = Metadata(
        arch="tiny-cnn", classes=("a", "b"), preprocessing=Preprocessing(), recipe=recipe,
        left_out=left_out,
    )  # fmt: skip
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


@pytest.mark.parametrize(("known", "warned"), [({"0"}, 0), ((), 1)])
def test_an_original_that_the_model_was_not_made_from_is_reported(
    known: Collection[str], warned: int
) -> None:
    progress = Silent()
    original = Compared(cast(Network, None), trained(None, LeftOut(count=0)))
    lists = AuditedLists(1, frozenset({"listed"}), "listed")
    check_original(original, trained(None), known, lists, progress)
    assert len(progress.warnings) == warned
    retrained = Compared(cast(Network, None), trained(None, LeftOut(count=1, ids="listed")))
    with pytest.raises(RequestError, match="is a retrained model"):
        check_original(retrained, trained(None), known, lists, progress)
