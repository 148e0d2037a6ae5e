"""The source imagefolder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falw_cli.config.settings import Config
from falw_cli.data.images import Geometry, load
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.runtime.locks import locked
from falw_cli.runtime.progress import Silent
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


SUFFIXES = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "tif", "tiff", "bmp", "ppm", "pgm",
            "pbm", "pnm", "TIF")  # fmt: skip


def test_every_image_suffix_is_read(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 1, "dog": 1})
    with Image.open(tmp_path / "cat" / "0.png") as picture:
        for place, suffix in enumerate(SUFFIXES):
            kind = Image.registered_extensions()[f".{suffix.lower()}"]
            picture.save(tmp_path / "dog" / f"a{place}.{suffix}", kind)
    listing = open_listing(f"imagefolder:{tmp_path}")
    assert np.bincount(listing.labels).tolist() == [1, 1 + len(SUFFIXES)]
    assert listing.notes == ()
    pixels = load(listing, Config(cache=False), Geometry(12, 12, 3), Silent()).pixels
    tif = listing.ids.index(f"dog/a{SUFFIXES.index('tif')}.tif")
    np.testing.assert_array_equal(pixels[tif], pixels[0])


def test_what_is_passed_over_is_counted_and_named(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 2, "dog": 1})
    (tmp_path / "cat" / "._0.png").write_bytes(b"\x00\x05\x16\x07rest")
    for name in ("a.heic", "b.HEIC", "notes", ".DS_Store"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "._x.png").write_bytes(b"\x00\x05\x16\x07rest")
    save_png(tmp_path / "x.png")
    (tmp_path / "owl").mkdir()
    make_folder(tmp_path / ".ipynb_checkpoints", {"cat": 1})
    make_folder(tmp_path / "dog" / "__MACOSX", {"dog": 1})
    listing = open_listing(f"imagefolder:{tmp_path}")
    assert listing.classes == ("cat", "dog")
    assert listing.empty == ("owl",)
    assert listing.ids == ("cat/0.png", "cat/1.png", "dog/0.png")
    files, folders, stray, empty = listing.notes
    assert stray == "1 image outside the class folders was passed over"
    assert files.startswith("7 files of other kinds were passed over: ")
    for kind in (".heic (2)", "._* (2)", ".DS_Store (1)", "no suffix (1)", ".md (1)"):
        assert kind in files
    assert folders == "2 hidden folders were passed over: .ipynb_checkpoints, __MACOSX"
    assert empty == "1 folder without images is not taken for a class: owl"


def test_an_image_whose_name_begins_with_a_dot_is_read(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 1})
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "._0.png")
    assert open_listing(f"imagefolder:{tmp_path}").ids == ("cat/._0.png",)


def test_the_lock_of_an_output_is_not_counted(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 1})
    with locked(tmp_path / "config.json"), locked(tmp_path / "cat" / "model.pt"):
        assert len(list(tmp_path.rglob(".*"))) == 2
        assert open_listing(f"imagefolder:{tmp_path}").notes == ()


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("batch1/cat", "batch2/dog"), "hold only folders, 2 in all"),
        (("train/cat", "val/cat"), "look like splits"),
        (("cat/one", "dog"), None),
        (("train", "car"), None),
    ],
)
def test_folders_that_are_probably_no_classes(
    tmp_path: Path, folders: tuple[str, ...], said: str | None
) -> None:
    for name in folders:
        make_folder(tmp_path / name, {".": 1})
    notes = open_listing(f"imagefolder:{tmp_path}").notes
    assert (said in notes[0]) if said else notes == ()


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ({"cat/x": "../dog", "dog/y": "../cat"}, "links to a folder that contains it"),
        ({"cat/deep/x": "../../cat"}, "links to a folder that contains it"),
        ({"cat/x": "../.."}, "links to a folder that contains it"),
        ({"cat/x": "x"}, "x cannot be read: Too many levels"),
        ({"cat/x.png": "x.png"}, "x.png cannot be read: Too many levels"),
        ({"cat10/more": "../cat"}, None),
        ({"cat/a": "../dog", "cat/b": "../dog"}, None),
    ],
)
def test_links_in_a_circle_are_refused(
    tmp_path: Path, links: dict[str, str], said: str | None
) -> None:
    make_folder(tmp_path, {"cat": 1, "cat10": 1, "dog": 1, "cat/deep": 1})
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    if said is None:
        assert len(open_listing(f"imagefolder:{tmp_path}").ids) > 4
        return
    with pytest.raises(RequestError, match=said):
        open_listing(f"imagefolder:{tmp_path}")
