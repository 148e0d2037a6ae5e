"""The source torchvision."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data.images import Geometry, load
from falw_cli.data.opening import open_listing
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
