"""The complete request of an unlearning run."""

from __future__ import annotations

from typing import Any

import pytest

from falw_cli.config.settings import Config
from falw_cli.unlearning.resolution import changed_flags, with_method_defaults


@pytest.mark.parametrize(
    ("asked", "flags"),
    [
        ({}, []),
        ({"weighting": "none", "batch_size": 8}, []),
        ({"epochs": 1}, ["--epochs"]),
        ({"method": "scrub"}, ["--method"]),
        ({"method": "scrub", "lr": 0.5, "epochs": 1}, ["--method", "--epochs", "--lr"]),
    ],
)
def test_flags_that_differ_from_the_defaults_are_known(
    asked: dict[str, Any], flags: list[str]
) -> None:
    config = with_method_defaults(Config.model_validate({"unlearn": asked}))
    assert changed_flags(config) == flags
