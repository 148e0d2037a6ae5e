"""`torchvision:NAME:DIR`: a torchvision dataset in its layout; the ID is the row number."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from falw_cli.data.columns import Cells
from falw_cli.data.labels import digit_names
from falw_cli.data.listing import Listing, Source, Spec, choose_part, files_below
from falw_cli.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from PIL.Image import Image

TWO = ("train", "test")
THREE = ("train", "val", "test")
PARTS = {
    "MNIST": TWO, "FashionMNIST": TWO, "KMNIST": TWO, "SVHN": ("train", "extra", "test"),
    "STL10": TWO, "Food101": TWO, "Flowers102": THREE, "OxfordIIITPet": ("trainval", "test"),
    "GTSRB": TWO, "DTD": THREE, "FGVCAircraft": ("train", "val", "trainval", "test"),
    "Country211": ("train", "valid", "test"), "RenderedSST2": THREE,
    "Imagenette": ("train", "val"), "CIFAR10": TWO, "CIFAR100": TWO,
}  # fmt: skip
"""Datasets for which torchvision unpickles nothing before checking its digest, and the parts of
each that have labels."""


class Items(Cells):
    """Images that a torchvision dataset opens; it may use any file in its folder."""

    def image(self, row: int) -> Image:
        picture: Image = self.value(row)[0]
        return picture


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a part."""
    from torchvision import datasets

    name, mark, folder = str(spec.location).partition(":")
    known = next((one for one in PARTS if one.lower() == name.lower()), None)
    if known is None:
        raise unknown_name("torchvision dataset", name, PARTS)
    if not mark or not Path(folder).is_dir():
        raise RequestError(f"{spec.text!r}: no folder {folder!r}", f"write torchvision:{known}:DIR")
    kind, part = getattr(datasets, known), choose_part(spec, PARTS[known])
    parameters = inspect.signature(kind).parameters
    second: Any = {"train": part == "train"} if "train" in parameters else {"split": part}
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
    classes = _class_names(found)
    numbered = classes is None
    if classes is None:
        classes = digit_names(labels)
    elif len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise RequestError(
            f"{spec.text!r}: labels range from {labels.min()} to {labels.max()}, there are "
            f"{len(classes)} classes",
            "choose a part with labels",
        )
    ids = tuple(str(i) for i in range(len(labels)))
    place = Path(folder)
    items = Items(found, np.arange(len(labels)), place, partial(files_below, place, "*"))
    identity = replace(spec, part=part).identity
    return Listing(spec.text, identity, ids, labels, classes, numbered, items, parts=PARTS[known])


def _class_names(found: Any) -> tuple[str, ...] | None:
    """Return the names of the classes, each the first of its synonyms; None without names."""
    names = getattr(found, "classes", None)
    if not names:
        return None
    return tuple(str(one[0] if isinstance(one, tuple) else one) for one in names)


def _labels(found: Any) -> Any:
    """Return the labels of all rows; the attribute that holds them depends on the dataset."""
    for name in ("targets", "labels", "_labels"):
        if (labels := getattr(found, name, None)) is not None:
            return labels
    if (samples := getattr(found, "_samples", None)) is not None:
        return [label for _, label in samples]
    return [found[row][1] for row in range(len(found))]


source = Source(listing, parts="any")
