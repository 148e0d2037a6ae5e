"""Near-duplicates: altered copies are proposed, other images are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from falw_cli.config.settings import Config
from falw_cli.data.near import describe, propose
from falw_cli.data.opening import open_listing
from falw_cli.runtime.progress import Silent


def photo(seed: int, size: int = 48) -> Image.Image:
    """Return an image of smooth colours, as photos have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos, and altered copies of the first one in another class."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for seed in range(12):
        photo(seed).save(tmp_path / "a" / f"{seed}.png")
    first = photo(0)
    first.save(tmp_path / "b" / "jpeg.jpg", quality=60)
    first.resize((45, 45)).save(tmp_path / "b" / "small.png")
    first.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "b" / "mirrored.png")
    ImageEnhance.Brightness(first).enhance(0.7).save(tmp_path / "b" / "dark.png")
    return tmp_path


def test_altered_copies_are_proposed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is kept in the cache, from which a later list would not be removed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(photos / "cache"))
    listing = open_listing(f"imagefolder:{photos}")
    rows = np.array([listing.ids.index(name) for name in ("a/0.png", "a/5.png")])
    found = propose(listing, rows, 0.95, Config(), Silent())
    assert {one.name for one in found} == {
        "b/jpeg.jpg", "b/small.png", "b/mirrored.png", "b/dark.png",
    }  # fmt: skip
    assert {one.like for one in found} == {"a/0.png"}
    assert all(0.95 <= one.similarity <= 1 for one in found)
    assert [one.similarity for one in found] == sorted((o.similarity for o in found), reverse=True)
    assert len(propose(listing, rows, 0.1, Config(), Silent())) > 4
    assert not list((photos / "cache").rglob("*.npy"))


def test_descriptions_by_hand() -> None:
    """Brightness and contrast do not matter; an image of one colour resembles none."""
    ramp = np.tile(np.arange(8, dtype=np.uint8)[:, None], (1, 8))[:, :, None]
    found = describe(np.stack([ramp, 3 * ramp + 40, 200 - ramp, np.full_like(ramp, 7)]))
    np.testing.assert_allclose(found @ found[0], [1, 1, -1, 0], atol=1e-5)
    assert describe(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 192)
