"""Every shipped config loads, and names what exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.architectures import builder
from falw_cli.config import resolve

SAMPLES = sorted((Path(__file__).parents[1] / "sample_configs").glob("*.yaml"))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.name)
def test_it_loads(file: Path) -> None:
    config = resolve("unlearn", {}, file)
    assert config.arch is not None
    builder(config.arch)
    assert config.data is not None
    assert config.heldout is not None


def test_there_are_some() -> None:
    assert SAMPLES
