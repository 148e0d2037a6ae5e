"""The commands as functions: arguments of other types than the command line can give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falw_cli import unlearn
from falw_cli.api import _request
from falw_cli.errors import RequestError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"forget": np.array([1, 2])}, "--forget: input should be a valid string"),
        ({"lr": np.array([1.0, 2.0])}, "--lr: input should be a valid number"),
        ({"classes": 3}, "--classes: input should be a valid tuple"),
        ({"gate": 3}, "--gate: input should be a valid tuple"),
        ({"reference": [3]}, "--reference: input should be a valid string"),
        ({"config": 3}, "config is of type int"),
        ({"model": {}}, "model is of type dict"),
    ],
)
def test_a_value_of_another_type_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        unlearn(**{"model": "a.pt", "forget": "ids.txt", **given})
    assert refused.value.hint
    notes = vars(refused.value)["__notes__"]  # a traceback shows them
    assert notes == [f"hint: {refused.value.hint}"]


def test_paths_and_class_names_may_be_python_values() -> None:
    options = {"classes": ["cat", "dog"], "reference": (Path("b.pt"),), "gate": "avg_gap<=1"}
    config = _request("unlearn", Path("a.pt"), None, options)
    assert (config.model, config.reference, config.classes) == ("a.pt", ("b.pt",), ("cat", "dog"))
    assert config.gate == ("avg_gap<=1",)
