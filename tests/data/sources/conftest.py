"""The same images as a folder, as Hugging Face datasets, and as tar shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falw_cli.config.settings import Config
from falw_cli.data.images import Geometry, load
from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.runtime.progress import Silent
from tests.data.pictures import make_folder

WANTED = Geometry(12, 12, 3)


@pytest.fixture
def pictures(tmp_path: Path) -> Listing:
    """The images as a folder."""
    make_folder(tmp_path / "pictures", {"ant": 3, "bee": 2})
    return open_listing(f"imagefolder:{tmp_path / 'pictures'}")


def same_pixels(one: Listing, other: Listing) -> None:
    np.testing.assert_array_equal(
        load(one, Config(), WANTED, Silent()).pixels, load(other, Config(), WANTED, Silent()).pixels
    )
    assert one.labels.tolist() == other.labels.tolist()


def columns(pictures: Listing) -> dict[str, list[object]]:
    """The images as columns of a Hugging Face dataset."""
    return {
        "image": [{"bytes": pictures.raw(row), "path": None} for row in range(len(pictures.ids))],
        "label": pictures.labels.tolist(),
    }


def hugging_face(pictures: Listing) -> Any:
    """The images as a Hugging Face dataset with class names."""
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=list(pictures.classes))
    features = datasets.Features({"image": datasets.Image(), "label": names})
    return datasets.Dataset.from_dict(columns(pictures), features=features)


def shard(pictures: Listing, file: Path, some: list[int], label: bool = True) -> None:
    """Write a tar shard in the WebDataset layout."""
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(file)) as sink:
        for row in some:
            sample = {"__key__": pictures.ids[row].removesuffix(".png"), "png": pictures.raw(row)}
            sink.write(sample | ({"cls": int(pictures.labels[row])} if label else {}))
