"""The source npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError


def test_row_numbers_or_ids(tmp_path: Path) -> None:
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0, 1, 1]))
    listing = open_listing(f"npz:{tmp_path / 'a.npz'}")
    assert listing.ids == ("0", "1", "2")
    assert listing.array is not None
    assert listing.array.shape == (3, 8, 8, 1)
    np.savez(tmp_path / "b.npz", images=images, labels=["x", "y", "x"], ids=["p", "q", "r"])
    named = open_listing(f"npz:{tmp_path / 'b.npz'}")
    assert named.ids == ("p", "q", "r")
    assert named.classes == ("x", "y")


def test_it_never_unpickles(tmp_path: Path) -> None:
    boxed = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "a.npz", images=boxed, labels=np.array([0]))
    with pytest.raises(RequestError, match="cannot be read as npz"):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.zeros(2)},
        {"images": np.zeros((2, 8, 8, 3)), "labels": np.zeros(2, dtype=int)},
        {"images": np.zeros((2, 8, 8, 3), dtype=np.uint8), "labels": np.zeros(3, dtype=int)},
        {"images": np.zeros((2, 8, 8, 4), dtype=np.uint8), "labels": np.zeros(2, dtype=int)},
        {"images": np.zeros((2, 8, 8, 3), dtype=np.uint8), "labels": np.array([0, -1])},
    ],
    ids=["no images", "float images", "lengths differ", "four channels", "negative label"],
)
def test_invalid_files_are_explained(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(RequestError):
        open_listing(f"npz:{tmp_path / 'a.npz'}")
