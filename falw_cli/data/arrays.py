"""Listings of images that a library returns as one array."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import Listing, Source, Spec, folder_of
from falw_cli.errors import RequestError


def cifar(name: str) -> Source:
    """Return the source of torchvision's dataset `name`, stored as torchvision stores it."""
    return Source(partial(_cifar, name), parts="two")


def _cifar(name: str, spec: Spec, allow_outside: bool) -> Listing:
    from torchvision import datasets

    root = folder_of(spec)
    try:
        # torchvision unpickles a file only if its MD5 is the published one.
        data = getattr(datasets, name)(root, train=spec.part == "train", download=False)
    except RuntimeError as error:
        raise RequestError(
            f"{spec.text!r}: {root} does not hold {name} in torchvision's layout",
            "unpack the official archive there, and keep its folder name",
        ) from error
    return numbered_rows(spec, data.data, np.array(data.targets), tuple(data.classes))


def numbered_rows(
    spec: Spec, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[Any], classes: tuple[str, ...]
) -> Listing:
    """Return the listing of an array of images; the ID is the row number."""
    ids = tuple(str(i) for i in range(len(labels)))
    return Listing(spec.text, spec.identity, ids, labels.astype(np.int64), classes, array=pixels)
