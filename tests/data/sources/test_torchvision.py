"""The source torchvision."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision.datasets import imagenette

from falw_cli.config.settings import Config
from falw_cli.data.images import Geometry, load
from falw_cli.data.opening import open_listing
from falw_cli.data.sources.torchvision import PARTS
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Silent


def test_a_torchvision_dataset(tmp_path: Path) -> None:
    """MNIST files with three training images and two test images."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 255, (3, 28, 28), dtype=np.uint8)
    for name, count in (("train", 3), ("t10k", 2)):
        head = struct.pack(">IIII", 2051, count, 28, 28)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(head + images[:count].tobytes())
        labels = struct.pack(">II", 2049, count) + bytes(range(count))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    listing = open_listing(f"torchvision:FashionMNIST:{tmp_path}")
    assert listing.ids == ("0", "1", "2")
    assert listing.classes[0] == "T-shirt/top"
    found = load(listing, Config(), Geometry(28, 28, 1), Silent()).pixels
    np.testing.assert_array_equal(found[..., 0], images)
    assert len(open_listing(f"torchvision:fashionmnist:{tmp_path}#test").ids) == 2


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16)).save(path)


def _idx(root: Path, name: str) -> None:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        head = struct.pack(">IIII", 2051, 4, 16, 16)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + bytes(4 * 256))
        labels = struct.pack(">II", 2049, 4) + bytes([1, 0, 1, 2])
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def _svhn(root: Path, _: str) -> None:
    for part in PARTS["SVHN"]:
        images = np.zeros((16, 16, 3, 4), dtype=np.uint8)
        scipy.io.savemat(root / f"{part}_32x32.mat", {"X": images, "y": [[1], [10], [1], [2]]})


def _stl10(root: Path, _: str) -> None:
    base = root / "stl10_binary"
    base.mkdir()
    (base / "class_names.txt").write_text("airplane\nbird\ncar\n")
    (base / "fold_indices.txt").write_text("0\n")
    for part in ("train", "test"):
        (base / f"{part}_X.bin").write_bytes(bytes(4 * 3 * 96 * 96))
        (base / f"{part}_y.bin").write_bytes(bytes([2, 1, 2, 3]))


def _food(root: Path, _: str) -> None:
    base = root / "food-101"
    names = {"pie": ["pie/1"], "rice": ["rice/1", "rice/2"], "tofu": ["tofu/1"]}
    (base / "meta").mkdir(parents=True)
    for part in PARTS["Food101"]:
        (base / "meta" / f"{part}.json").write_text(json.dumps(names))
    for name in (one for some in names.values() for one in some):
        _picture(base / "images" / f"{name}.jpg")


def _flowers(root: Path, _: str) -> None:
    base = root / "flowers-102"
    for number in range(1, 5):
        _picture(base / "jpg" / f"image_{number:05d}.jpg")
    ids = {"trnid": [[1, 2, 3, 4]], "valid": [[1, 2, 3, 4]], "tstid": [[1, 2, 3, 4]]}
    scipy.io.savemat(base / "setid.mat", ids)
    scipy.io.savemat(base / "imagelabels.mat", {"labels": [[2, 1, 2, 3]]})


def _pets(root: Path, _: str) -> None:
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    breeds = [("beagle", 2), ("Abyssinian", 1), ("beagle", 2), ("Birman", 3)]
    lines = [f"{name}_{row} {label} 1 1\n" for row, (name, label) in enumerate(breeds)]
    for part in PARTS["OxfordIIITPet"]:
        (base / "annotations" / f"{part}.txt").write_text("".join(lines))
    for row, (name, _label) in enumerate(breeds):
        _picture(base / "images" / f"{name}_{row}.jpg")


def _gtsrb(root: Path, _: str) -> None:
    base = root / "gtsrb"
    for row, label in enumerate((0, 1, 1, 2)):
        _picture(base / "GTSRB" / "Training" / f"{label:05d}" / f"{row}.ppm")
        _picture(base / "GTSRB" / "Final_Test" / "Images" / f"{row}.ppm")
    lines = "".join(f"{row}.ppm;{label}\n" for row, label in enumerate((0, 1, 1, 2)))
    (base / "GT-final_test.csv").write_text("Filename;ClassId\n" + lines)


def _dtd(root: Path, _: str) -> None:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    names = ["dotted/a.jpg", "banded/a.jpg", "dotted/b.jpg", "woven/a.jpg"]
    for part in PARTS["DTD"]:
        (base / "labels" / f"{part}1.txt").write_text("\n".join(names))
    for name in names:
        _picture(base / "images" / name)


def _aircraft(root: Path, _: str) -> None:
    base = root / "fgvc-aircraft-2013b" / "data"
    for row in range(4):
        _picture(base / "images" / f"{row}.jpg")
    (base / "variants.txt").write_text("707\nA380\nBAe\n")
    lines = "\n".join(f"{row} {name}" for row, name in enumerate(("A380", "707", "A380", "BAe")))
    for part in PARTS["FGVCAircraft"]:
        (base / f"images_variant_{part}.txt").write_text(lines)


def _folders(base: str, suffix: str, names: tuple[str, ...]) -> Callable[[Path, str], None]:
    def make(root: Path, name: str) -> None:
        for part in PARTS[name]:
            for row, one in enumerate((0, 1, 1, 2)):
                folder = "valid" if name == "RenderedSST2" and part == "val" else part
                _picture(root / base / folder / names[one % len(names)] / f"{row}.{suffix}")

    return make


FAKES: dict[str, Callable[[Path, str], None]] = {
    "MNIST": _idx, "FashionMNIST": _idx, "KMNIST": _idx, "SVHN": _svhn, "STL10": _stl10,
    "Food101": _food, "Flowers102": _flowers, "OxfordIIITPet": _pets, "GTSRB": _gtsrb,
    "DTD": _dtd, "FGVCAircraft": _aircraft,
    "Country211": _folders("country211", "jpg", ("AD", "AE", "AF")),
    "RenderedSST2": _folders("rendered-sst2", "png", ("negative", "positive")),
    "Imagenette": _folders("imagenette2", "JPEG", tuple(imagenette.Imagenette._WNID_TO_CLASS)),
}  # fmt: skip
"""What makes a set of four images of classes 1, 0, 1, 2 in some order; the CIFARs: test_cifar."""


@pytest.mark.parametrize("name", FAKES)
def test_every_part_of_every_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ("svhn", "stl10", "flowers102"):  # the fakes have other digests
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity", lambda *_: True, raising=False
        )
    FAKES[name](tmp_path, name)
    spec = f"torchvision:{name}:{tmp_path}"
    for part in PARTS[name]:
        listing = open_listing(f"{spec}#{part}")
        expected = [2, 2] if name == "RenderedSST2" else [1, 2, 1]
        assert np.bincount(listing.labels).tolist() == expected
        assert len(listing.ids) == 4
        assert listing.parts == PARTS[name]
        assert all(isinstance(one, str) and "(" not in one for one in listing.classes)
        images = load(listing, Config(cache=False), Geometry(16, 16, 3), Silent())
        assert images.pixels.shape == (4, 16, 16, 3)
    assert open_listing(spec).identity == open_listing(f"{spec}#{PARTS[name][0]}").identity
    assert open_listing(spec, "test").identity == open_listing(f"{spec}#{PARTS[name][-1]}").identity
    with pytest.raises(RequestError, match="no part 'nothing'"):
        open_listing(f"{spec}#nothing")


def test_the_fakes_cover_what_is_offered() -> None:
    assert {*FAKES, "CIFAR10", "CIFAR100"} == set(PARTS)


def test_imagenette_takes_the_first_name_of_a_class(tmp_path: Path) -> None:
    FAKES["Imagenette"](tmp_path, "Imagenette")
    assert open_listing(f"torchvision:Imagenette:{tmp_path}").classes[0] == "tench"


def test_an_image_that_torchvision_cannot_open_is_named(tmp_path: Path) -> None:
    """torchvision decodes it: the error is the decoder's."""
    FAKES["Food101"](tmp_path, "Food101")
    (tmp_path / "food-101" / "images" / "rice" / "2.jpg").write_bytes(b"no image")
    listing = open_listing(f"torchvision:Food101:{tmp_path}")
    with pytest.raises(RequestError, match="cannot be read"):
        load(listing, Config(cache=False), Geometry(16, 16, 3), Silent())
