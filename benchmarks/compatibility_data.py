"""Data as libraries write it, for docs/compatibility.md.

The sets of torchvision are small fakes in the layout of its downloads, those of the tests. A row
compares what falw reads with what the library itself returns.
"""

from __future__ import annotations

import contextlib
import csv
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from torchvision import datasets

from falw_cli.config.settings import Config
from falw_cli.data.images import Geometry, load
from falw_cli.data.opening import open_listing
from falw_cli.data.sources.torchvision import PARTS
from falw_cli.runtime.progress import Silent
from tests.data.sources.test_torchvision import FAKES

CHECKED = ("svhn", "stl10", "flowers102", "cifar")
"""Modules of torchvision that compare digests; those of the fakes differ."""
Sample = tuple[Any, int]


def torchvision_rows(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row of the table for each set of torchvision."""
    for name in PARTS:
        folder = root / name
        folder.mkdir()
        if name in FAKES:
            FAKES[name](folder, name)
        else:
            _cifar(folder, name)
        with contextlib.ExitStack() as unchecked:
            for module in (getattr(datasets, name) for name in CHECKED):
                patch = mock.patch.object(module, "check_integrity", return_value=True)
                unchecked.enter_context(patch)
            found = [_compared(name, folder, part) for part in PARTS[name]]
        yield ("torchvision", f"`torchvision:{name}:DIR`", ", ".join(PARTS[name]), _agreed(found))


def _cifar(folder: Path, name: str) -> None:
    """Write the batches of CIFAR-10 or CIFAR-100 with four images each."""
    kind = getattr(datasets, name)
    base = folder / kind.base_folder
    base.mkdir(parents=True)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    for batch, _ in (*kind.train_list, *kind.test_list):
        pixels = np.random.default_rng(len(batch)).integers(0, 256, (4, 3072), dtype=np.uint8)
        (base / batch).write_bytes(pickle.dumps({"data": pixels, key: [1, 0, 1, 2]}))
    meta = {kind.meta["key"]: [str(number) for number in range(100)]}
    (base / kind.meta["filename"]).write_bytes(pickle.dumps(meta))


def _compared(name: str, folder: Path, part: str) -> bool:
    """Return whether falw reads the pixels and labels of a part as torchvision does."""
    kind = getattr(datasets, name)
    takes_split = "split" in kind.__init__.__code__.co_varnames
    given = {"split": part} if takes_split else {"train": part == "train"}
    return same(f"torchvision:{name}:{folder}#{part}", list(kind(str(folder), **given)))


def same(spec: str, samples: list[Sample]) -> bool:
    """Return whether falw reads the same pixels and labels, in any order of the samples."""
    listing = open_listing(spec)
    first = np.asarray(samples[0][0])
    height, width = first.shape[:2]
    grey = first.ndim == 2
    shape = Geometry(min(height, width), min(height, width), 1 if grey else 3)
    pixels = load(listing, Config(cache=False), shape, Silent()).pixels
    ours = sorted(
        (int(label), one.tobytes()) for label, one in zip(listing.labels, pixels, strict=True)
    )
    theirs = sorted(
        (int(np.ravel(label)[0]), np.asarray(image).tobytes()) for image, label in samples
    )
    return ours == theirs


def _agreed(found: list[bool]) -> str:
    return "same pixels and labels" if all(found) else f"**{found.count(False)} parts differ**"


def medmnist_rows(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield rows of MedMNIST's npz files: grey, colour, and one with several labels per image."""
    try:
        from medmnist import dataset
    except ImportError as error:
        yield ("medmnist", "npz", "train, val, test", f"not run: {error}")
        return
    for name in ("PneumoniaMNIST", "PathMNIST"):
        kind = getattr(dataset, name)
        file = root / f"{kind.flag}.npz"
        _npz(file, (6, 28, 28) if name == "PneumoniaMNIST" else (6, 28, 28, 3), (6, 1))
        with mock.patch.object(kind, "__len__", lambda self: len(self.imgs)):
            agreed = [
                same(f"npz:{file}#{part}", [kind(part, root=str(root))[row] for row in range(6)])
                for part in ("train", "val", "test")
            ]
        yield ("medmnist", f"`npz:{file.name}`: {name}", "train, val, test", _agreed(agreed))
    file = root / "chestmnist.npz"
    _npz(file, (6, 28, 28), (6, 14))
    yield ("medmnist", f"`npz:{file.name}`: ChestMNIST", "train, val, test", refusal(f"npz:{file}"))


def _npz(file: Path, images: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Write a file with the names and shapes of MedMNIST."""
    draws = np.random.default_rng(0)
    arrays = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = draws.integers(0, 256, images, dtype=np.uint8)
        arrays[f"{part}_labels"] = draws.integers(0, 2, labels, dtype=np.uint8)
    np.savez(file, **arrays)


def refusal(spec: str) -> str:
    """Return why falw refuses a data source."""
    from falw_cli.errors import RequestError

    try:
        open_listing(spec)
    except RequestError as error:
        return "refused: " + str(error).partition(": ")[2]
    return "**taken**"


Write = Callable[[Path, str], str]
"""Writes the samples of an image folder in a format, given a name; returns the SPEC."""


def _samples(folder: Path) -> tuple[list[Path], list[int], list[str]]:
    """Return the files, labels and class names of an image folder."""
    files = sorted(folder.rglob("*.png"), key=lambda file: file.relative_to(folder).as_posix())
    names = sorted({file.parent.name for file in files})
    return files, [names.index(file.parent.name) for file in files], names


def write_csv(folder: Path, part: str) -> str:
    """Write the paths and labels with Python's csv module."""
    files, _, _ = _samples(folder)
    with Path(f"{part}.csv").open("w", newline="") as stream:
        rows = [(file.relative_to(Path.cwd()).as_posix(), file.parent.name) for file in files]
        csv.writer(stream).writerows([("path", "label"), *rows])
    return f"csv:{part}.csv"


def write_npz(folder: Path, part: str) -> str:
    """Write the pixels with numpy."""
    files, labels, names = _samples(folder)
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    np.savez(f"{part}.npz", images=pixels, labels=np.array(names)[labels])
    return f"npz:{part}.npz"


def _dataset(folder: Path) -> Any:
    import datasets as library

    files, labels, names = _samples(folder)
    kinds = {"image": library.Image(), "label": library.ClassLabel(names=names)}
    rows = {"image": [{"bytes": f.read_bytes(), "path": None} for f in files], "label": labels}
    return library.Dataset.from_dict(rows, features=library.Features(kinds))


def write_parquet(folder: Path, part: str) -> str:
    """Write a Parquet file with Hugging Face's datasets."""
    _dataset(folder).to_parquet(f"{part}.parquet")
    return f"parquet:{part}.parquet"


def write_hf(folder: Path, part: str) -> str:
    """Write a DatasetDict with Hugging Face's datasets."""
    import datasets as library

    library.DatasetDict({"validation": _dataset(folder)}).save_to_disk(f"{part}.hf")
    return f"hf:{part}.hf#validation"


def write_shards(folder: Path, part: str) -> str:
    """Write tar shards with webdataset."""
    import webdataset

    files, labels, _ = _samples(folder)
    Path(f"{part}.shards").mkdir()
    with webdataset.ShardWriter(f"file:{part}.shards/%03d.tar", maxcount=60, verbose=0) as writer:
        for file, label in zip(files, labels, strict=True):
            key = file.relative_to(folder).with_suffix("").as_posix()
            writer.write({"__key__": key, "png": file.read_bytes(), "cls": str(label)})
    return f"webdataset:{part}.shards"


CONTAINERS: dict[str, tuple[str, Write]] = {
    "imagefolder": ("torchvision", lambda folder, part: f"imagefolder:{folder}"),
    "csv": (f"Python {sys.version_info.major}.{sys.version_info.minor}", write_csv),
    "npz": ("numpy", write_npz),
    "parquet": ("datasets", write_parquet),
    "hf": ("datasets", write_hf),
    "webdataset": ("webdataset", write_shards),
}
"""Formats for the same samples: the library that writes each, and how."""
