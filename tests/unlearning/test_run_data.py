"""Data of an unlearning run: what depends on the list and on earlier requests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from falw_cli.config.settings import Config
from falw_cli.data.device import Resident
from falw_cli.unlearning.resolution import with_method_defaults
from falw_cli.unlearning.run_data import RunData


@pytest.mark.parametrize(
    ("again", "listed", "steps"),
    [(False, 60, 56), (True, 60, 224), (True, 32, 80), (True, 600, 133)],
)
def test_a_short_list_on_an_unlearned_model_takes_more_steps(
    again: bool, listed: int, steps: int
) -> None:
    """A long list does not."""
    whole = Resident(torch.zeros(2000, 1, 1, 1, dtype=torch.uint8), torch.zeros(2000).long())
    judged: Any = SimpleNamespace(forget=whole.of(slice(listed)))
    none = cast(Any, None)
    run_data = RunData(none, whole, judged, none, none, again=again)
    config = with_method_defaults(Config(model="m.safetensors"))
    assert run_data.careful(config) == (again and listed <= 100)
    assert run_data.work(config, 1.0).steps == steps
