"""Image decoding, resizing and the cache."""

from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from PIL import Image

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data.cache import Draft
from falw_cli.data.decoding import decode_marked, header_notes
from falw_cli.data.images import Geometry, geometry, load
from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError, RunError
from falw_cli.runtime.progress import Silent
from tests.data.pictures import make_folder, save_png

WANTED = Geometry(12, 12, 3)


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listing:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_folder(tmp_path / "pictures", {"a": 3, "b": 2})
    return open_listing(f"imagefolder:{tmp_path / 'pictures'}")


def _refuse(*args: object, **more: object) -> None:
    raise AssertionError("it was decoded again")


def test_a_second_run_decodes_nothing(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(listing, Config(), WANTED, Silent())
    monkeypatch.setattr("falw_cli.data.images.decode_marked", _refuse)
    again = load(listing, Config(), WANTED, Silent())
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.content_digest() == again.content_digest()


def test_no_cache_writes_nothing(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draft, "begin", _refuse)
    assert len(load(listing, Config(cache=False), WANTED, Silent()).pixels) == 5


def test_a_changed_file_is_detected(listing: Listing) -> None:
    before = load(listing, Config(), WANTED, Silent())
    save_png(listing.files.image(0), seed=999)
    os.utime(listing.files.image(0), ns=(1, 1))
    after = load(listing, Config(), WANTED, Silent())
    assert (before.pixels[0] != after.pixels[0]).any()
    assert before.content_digest() != after.content_digest()


def test_two_runs_at_once_make_one_entry(listing: Listing) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: load(listing, Config(), WANTED, Silent()), range(4)))
    assert len({run.content_digest() for run in runs}) == 1
    entries = list((platformdirs.user_cache_path("falw") / "images").iterdir())
    assert not [entry for entry in entries if entry.name.startswith("draft-")]


def test_only_the_user_can_read_the_cache(listing: Listing) -> None:
    load(listing, Config(), WANTED, Silent())
    folder = platformdirs.user_cache_path("falw") / "images"
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in folder.iterdir())


def held() -> bytes:
    """Return all bytes in the cache."""
    folder = platformdirs.user_cache_path("falw") / "images"
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("pixels.npy")))


@pytest.mark.parametrize("before", [True, False], ids=["kept before", "never kept"])
def test_images_to_forget_are_not_in_the_cache(listing: Listing, before: bool) -> None:
    """A run with a forget list removes its images, even if an earlier run cached them."""
    whole = load(listing, Config(cache=before), WANTED, Silent())
    forgotten = np.array([1, 3])
    got = load(listing, Config(), WANTED, Silent(), secret=forgotten)
    np.testing.assert_array_equal(got.pixels, whole.pixels)
    np.testing.assert_array_equal(got.digests, whole.digests)
    for row, pixels in enumerate(whole.pixels):
        assert (pixels.tobytes() in held()) == (row not in forgotten)


def test_an_entry_with_gaps_is_used(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run decodes only the missing images."""
    whole = load(listing, Config(), WANTED, Silent(), secret=np.array([1, 3]))
    seen: list[str] = []

    def noted(file: Path, name: str, channels: int, *, upright: bool) -> tuple[torch.Tensor, bool]:
        seen.append(name)
        return decode_marked(file, name, channels, upright=upright)

    monkeypatch.setattr("falw_cli.data.images.decode_marked", noted)
    again = load(listing, Config(), WANTED, Silent(), secret=np.array([1]))
    np.testing.assert_array_equal(again.pixels, whole.pixels)
    assert sorted(seen) == [listing.ids[1], listing.ids[3]]
    assert whole.pixels[3].tobytes() not in held()


def test_images_that_change_while_being_read_are_refused(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(
        file: Path, name: str, channels: int, *, upright: bool
    ) -> tuple[torch.Tensor, bool]:
        os.utime(file, ns=(1, 1))
        return decode_marked(file, name, channels, upright=upright)

    monkeypatch.setattr("falw_cli.data.images.decode_marked", touched)
    with pytest.raises(RunError, match="changed while it was read"):
        load(listing, Config(), WANTED, Silent())


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "truncated"])
def test_an_unreadable_image_is_named_or_left_out(listing: Listing, content: bytes | None) -> None:
    bad = listing.files.image(1)
    bad.write_bytes(bad.read_bytes()[:60] if content is None else content)
    with pytest.raises(RequestError, match=r"'a/1\.png' cannot be read"):
        load(listing, Config(), WANTED, Silent())
    progress = Silent()
    kept = load(listing, Config(skip_unreadable=True), WANTED, progress)
    assert kept.listing.ids == ("a/0.png", "a/2.png", "b/0.png", "b/1.png")
    assert progress.warnings == [f"1 unreadable image of {listing.spec!r} was skipped"]


def test_unreadable_images_of_the_list_are_counted(listing: Listing) -> None:
    for row in (1, 3):
        listing.files.image(row).write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"1 of 2 listed images cannot be read.*'b/0\.png'"):
        load(listing, Config(), WANTED, Silent(), secret=np.array([0, 3]))
    earlier = np.array([1])  # deleted since: neither an error nor counted
    with pytest.raises(RequestError, match=r"1 of 2 listed images cannot be read.*'b/0\.png'"):
        load(listing, Config(), WANTED, Silent(), secret=np.array([0, 1, 3]), optional=earlier)
    listing.files.image(3).write_bytes(listing.files.image(0).read_bytes())
    kept = load(listing, Config(), WANTED, Silent(), secret=np.array([0, 1]), optional=earlier)
    assert kept.listing.ids == ("a/0.png", "a/2.png", "b/0.png", "b/1.png")


def test_images_are_resized_or_refused(listing: Listing) -> None:
    save_png(listing.files.image(0), size=30)
    assert load(listing, Config(), WANTED, Silent()).pixels.shape == (5, 12, 12, 3)
    guessed = geometry(listing.keep(np.arange(1, 5)), Preprocessing(), 3)
    with pytest.raises(RequestError, match=r"'a/0\.png' is 30x30 pixels; .* is 12x12"):
        load(listing, Config(), guessed, Silent())  # though the cache holds it, resized
    assert load(listing, Config(), geometry(listing, Preprocessing(image_size=12), 3), Silent())


def test_arrays_of_another_size_than_the_first_source_are_refused() -> None:
    digits = open_listing("digits")
    guessed = replace(geometry(digits, Preprocessing(), 1), size=9, resize=9)
    with pytest.raises(RequestError, match=r"'digits' is 8x8 pixels; .* is 9x9"):
        load(digits, Config(), guessed, Silent())
    assert load(digits, Config(), replace(guessed, guessed=False), Silent()).pixels.shape[1] == 9


def test_geometry_follows_the_first_image(listing: Listing) -> None:
    assert geometry(listing, Preprocessing(), None) == Geometry(12, 12, 3)
    assert geometry(listing, Preprocessing(image_size=10, resize=11), 1) == Geometry(10, 11, 1)
    listing.files.image(0).write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"'a/0\.png' cannot be read"):
        geometry(listing, Preprocessing(), None)
    assert geometry(listing, Preprocessing(), None, skip=True) == Geometry(12, 12, 3)
    assert geometry(open_listing("digits"), Preprocessing(), None) == Geometry(8, 8, 1)


def test_grey_arrays_become_colour_but_not_vice_versa() -> None:
    digits = open_listing("digits")
    assert load(digits, Config(), Geometry(8, 8, 3), Silent()).pixels.shape == (1198, 8, 8, 3)
    colour = Listing(
        "npz:x", "x", ("0",), np.array([0]), ("a",), array=np.zeros((1, 8, 8, 3), dtype=np.uint8)
    )
    with pytest.raises(RequestError, match="3 channels"):
        load(colour, Config(), Geometry(8, 8, 1), Silent())


class Warned(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_exif_orientation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int, kind: str
) -> None:
    """Pixels as stored by default, upright on request; the cache keeps the two apart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stored = np.zeros((12, 12, 3), dtype=np.uint8)
    stored[:6, :6] = 200  # one bright quarter
    (tmp_path / "d" / "cat").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, tag in ((f"a.{kind}", exif), (f"b.{kind}", Image.Exif())):
        Image.fromarray(stored).save(tmp_path / "d" / "cat" / name, exif=tag, quality=95)
    listing = open_listing(f"imagefolder:{tmp_path / 'd'}")
    turned = orientation != 1
    for _ in range(2):  # decoded, and read from the cache
        progress = Warned()
        ignored = load(listing, Config(), WANTED, progress)
        np.testing.assert_array_equal(ignored.pixels[0], ignored.pixels[1])
        said = [text for text in progress.warnings if "EXIF" in text]
        assert len(said) == turned
        assert all("1 of 2 images" in text for text in said)
    shown = Preprocessing(exif="apply", image_size=12)
    progress = Warned()
    upright = load(listing, Config(), geometry(listing, shown, 3), progress).pixels
    assert not progress.warnings
    np.testing.assert_array_equal(upright[1], ignored.pixels[1])
    down, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    quarters = upright[0].reshape(2, 6, 2, 6, 3).mean((1, 3, 4))
    assert np.argwhere(quarters > 100).tolist() == [[int(down), int(right)]]


def test_orientations_of_tiffs_are_always_applied_and_counted(tmp_path: Path) -> None:
    """Pillow applies them while it reads the pixels."""
    stored = np.zeros((12, 12, 3), dtype=np.uint8)
    stored[:6, :6] = 200
    (tmp_path / "d" / "cat").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(stored).save(tmp_path / "d" / "cat" / "a.tiff", exif=exif)
    listing = open_listing(f"imagefolder:{tmp_path / 'd'}")
    for exif_setting in ("ignore", "apply"):
        progress, shown = Warned(), Preprocessing(exif=exif_setting, image_size=12)  # type: ignore[arg-type]
        (pixels,) = load(listing, Config(), geometry(listing, shown, 3), progress).pixels
        assert pixels[-1, -1].tolist() == [200] * 3
        (said,) = progress.warnings
        assert said.startswith("1 of 1 images of")
        assert said.endswith("are TIFF images with an orientation, which is applied")


@pytest.mark.parametrize("suffix", ["png", "ppm"])
def test_images_of_16_bits_per_channel_are_counted(tmp_path: Path, suffix: str) -> None:
    make_folder(tmp_path, {"a": 2})
    file = tmp_path / "a" / "0.png"
    rows = bytes(range(12 * 6))
    if suffix == "ppm":
        file.write_bytes(b"P6 12 12 65535\n" + 12 * rows)
    else:
        header = struct.pack(">IIBBBBB", 12, 12, 16, 2, 0, 0, 0)
        parts = {b"IHDR": header, b"IDAT": zlib.compress(12 * (b"\0" + rows)), b"IEND": b""}
        chunks = (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts.items()
        )
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    listing = open_listing(f"imagefolder:{tmp_path}")
    note = "have 16 bits per channel: the upper eight are used"
    assert header_notes(listing) == [f"1 of 2 images {note}"]
    for _ in range(2):  # decoded, and read from the cache
        progress = Warned()
        found = load(listing, Config(), WANTED, progress)
        assert progress.warnings == [f"1 of 2 images of {listing.spec!r} {note}"]
        assert found.pixels[0, 0, :, 0].tolist() == list(range(0, 72, 6))


def test_inspection_notes_orientations_and_unreadable_images(listing: Listing) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = listing.files.image(0)
    assert isinstance(path, Path)
    Image.new("RGB", (12, 12)).save(path, exif=exif)
    (note,) = header_notes(listing)
    assert note.startswith("1 of 5 images have an EXIF orientation")
    Image.new("RGB", (12, 9)).save(path)
    assert header_notes(listing) == [
        "5 images have 2 sizes: 12x12 (4), 12x9 (1): preprocessing.image_size"
    ]
    path.write_bytes(b"x")
    assert header_notes(listing) == ["1 of 5 images cannot be read"]


def test_a_first_image_below_the_smallest_input_size_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 2})
    Image.new("RGB", (5, 5)).save(tmp_path / "cat" / "0.png")
    listing = open_listing(f"imagefolder:{tmp_path}")
    with pytest.raises(RequestError, match="scaled to the first one's 5 pixels"):
        geometry(listing, Preprocessing(), 3)
