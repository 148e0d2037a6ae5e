"""`torchvision:NAME:DIR`: a torchvision dataset in its layout; the ID is the row number."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from falw_cli.data.columns import Cells
from falw_cli.data.listing import Listing, Source, Spec, digit_names
from falw_cli.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from PIL.Image import Image

NAMES = (
    "MNIST", "FashionMNIST", "KMNIST", "SVHN", "STL10", "Food101", "Flowers102", "OxfordIIITPet",
    "GTSRB", "DTD", "FGVCAircraft", "Country211", "RenderedSST2", "Imagenette", "CIFAR10",
    "CIFAR100",
)  # fmt: skip
"""Datasets for which torchvision unpickles nothing before checking its digest."""


class Items(Cells):
    """Images that a torchvision dataset opens; it may use any file in its folder."""

    def image(self, row: int) -> Image:
        picture: Image = self.table[int(self.rows[row])][0]
        return picture


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a part."""
    from torchvision import datasets

    name, mark, folder = str(spec.location).partition(":")
    known = next((one for one in NAMES if one.lower() == name.lower()), None)
    if known is None:
        raise unknown_name("torchvision dataset", name, NAMES)
    if not mark or not Path(folder).is_dir():
        raise RequestError(f"{spec.text!r}: no folder {folder!r}", f"write torchvision:{known}:DIR")
    kind = getattr(datasets, known)
    parameters = inspect.signature(kind).parameters
    second: Any = {"train": spec.part == "train"} if "train" in parameters else {"split": spec.part}
    try:
        found = kind(folder, download=False, **second)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(
            f"{spec.text!r}: torchvision does not find {known} there: {reason}",
            "use the layout of torchvision's download",
        ) from error
    given = _labels(found)
    labels = np.array(given.tolist() if hasattr(given, "tolist") else given, dtype=np.int64)
    names = getattr(found, "classes", None)
    classes = tuple(map(str, names)) if names else digit_names(labels)
    ids = tuple(str(i) for i in range(len(labels)))
    items = Items(found, np.arange(len(labels)), Path(folder), "*")
    return Listing(spec.text, spec.identity, ids, labels, classes, not names, items)


def _labels(found: Any) -> Any:
    """Return the labels of all rows; the attribute that holds them depends on the dataset."""
    for name in ("targets", "labels", "_labels"):
        if (labels := getattr(found, name, None)) is not None:
            return labels
    if (samples := getattr(found, "_samples", None)) is not None:
        return [label for _, label in samples]
    return [found[row][1] for row in range(len(found))]


source = Source(listing, parts="two")
