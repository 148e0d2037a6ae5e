"""Names of outputs: given, by position, or guessed from the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.models.output_names import output_names
from tests.data.pictures import make_folder


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    make_folder(tmp_path / "d", {"cat": 2, "dog": 1})
    (tmp_path / "d" / "bee").mkdir()
    return open_listing(f"imagefolder:{tmp_path / 'd'}")


def test_given_names_are_no_guess(listing: Listing) -> None:
    assert output_names(("dog", "cat"), listing, 2) == (("dog", "cat"), None)


@pytest.mark.parametrize("given", [None, ("LABEL_0", "LABEL_1"), ("0", "1")])
def test_the_order_of_the_data_is_a_guess(listing: Listing, given: tuple[str, ...] | None) -> None:
    names, note = output_names(given, listing, 2)
    assert names == ("cat", "dog")
    assert note
    assert "--classes" in note


def test_empty_folders_count_where_the_model_has_as_many_outputs(listing: Listing) -> None:
    assert output_names(None, listing, 3)[0] == ("bee", "cat", "dog")
    with pytest.raises(RequestError, match="4 outputs"):
        output_names(None, listing, 4)


def test_bare_numbers_are_outputs(tmp_path: Path) -> None:
    images = np.zeros((2, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1])
    listing = open_listing(f"npz:{tmp_path / 'a.npz'}")
    assert output_names(None, listing, 3) == (("0", "1", "2"), None)
    assert output_names(("a", "b", "c"), listing, 3) == (("a", "b", "c"), None)
