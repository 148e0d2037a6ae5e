"""The source imagefolder."""

from __future__ import annotations

from pathlib import Path

from falw_cli.data.opening import open_listing
from tests.data.pictures import make_folder, save_png


def test_ids_are_paths_below_the_folder(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 2, "dog": 1})
    (tmp_path / "cat" / "deep").mkdir()
    save_png(tmp_path / "cat" / "deep" / "x.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    listing = open_listing(f"imagefolder:{tmp_path}")
    assert listing.ids == ("cat/0.png", "cat/1.png", "cat/deep/x.png", "dog/0.png")
    assert listing.classes == ("cat", "dog")
    assert listing.labels.tolist() == [0, 0, 0, 1]
