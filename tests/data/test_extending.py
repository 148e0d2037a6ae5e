"""A worked example: a custom data source is one file. CONTRIBUTING.md shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from falw_cli.cli.app import run
from falw_cli.config.extensions import SOURCES
from falw_cli.data import sources
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from tests.extending import added

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
CONSTANT = '''\
"""`constant:N`: N grey images of two classes; the ID is the row number."""

from __future__ import annotations

import numpy as np

from falw_cli.data.listing import Listing, Source, Spec


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples."""
    rows = np.arange(int(str(spec.location)))
    images = np.full((len(rows), 8, 8, 1), 128, dtype=np.uint8)
    ids = tuple(str(row) for row in rows)
    return Listing(spec.text, spec.identity, ids, rows % 2, ("even", "odd"), array=images)


source = Source(listing)
'''


@pytest.fixture
def constant(tmp_path: Path) -> Iterator[None]:
    """Add `constant.py` to the modules of `falw_cli.data.sources`."""
    with added(sources, "constant", CONSTANT, tmp_path):
        yield


@pytest.mark.usefixtures("constant")
def test_a_file_adds_a_data_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert "constant" in SOURCES
    listing = open_listing("constant:3")
    assert listing.ids == ("0", "1", "2")
    assert listing.labels.tolist() == [0, 1, 0]
    assert run(["inspect", "constant:3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["per_class"] == {"even": 2, "odd": 1}


@pytest.mark.usefixtures("constant")
def test_its_spec_is_checked_as_any_other() -> None:
    with pytest.raises(RequestError, match="names no location"):
        open_listing("constant")
    with pytest.raises(RequestError, match="constant has no parts"):
        open_listing("constant:3#test")
    with pytest.raises(RequestError) as caught:
        open_listing("constent:3")
    assert "did you mean 'constant'?" in (caught.value.hint or "")


def test_without_the_file_the_kind_is_unknown() -> None:
    with pytest.raises(RequestError, match="unknown data kind 'constant'"):
        open_listing("constant:3")


def test_contributing_shows_the_example() -> None:
    assert CONSTANT in CONTRIBUTING.read_text()
