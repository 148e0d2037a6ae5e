"""Sources whose images are arrays already: npz, torchvision's CIFAR sets, scikit-learn's digits."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import (
    Listing,
    Spec,
    check_numbers,
    digit_names,
    file_of,
    folder_of,
    number,
)
from falw_cli.errors import RequestError

DIGITS_SEED = 20260118
"""Of the fixed third of the digits that is their second part."""


def npz(spec: Spec, allow_outside: bool) -> Listing:
    """Arrays images (uint8 NHWC) and labels, perhaps ids; no pickle, sizes checked first."""
    file = file_of(spec)
    hint = "it needs images (uint8, N x H x W x channels), labels (N) and may have ids (N)"
    try:
        _check_size(file)
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
            ids = arrays["ids"] if "ids" in arrays else np.arange(len(images))
    except KeyError as error:
        raise RequestError(f"{file}: {error.args[0]}", hint) from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise RequestError(f"{file} cannot be read as npz: {error}", hint) from error
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        shape = "x".join(str(n) for n in images.shape)
        raise RequestError(f"{file}: images are {images.dtype} of {shape}", hint)
    if labels.ndim != 1 or len(labels) != len(images) or ids.shape != labels.shape:
        raise RequestError(
            f"{file}: {len(images)} images, labels {labels.shape}, ids {ids.shape}", hint
        )
    names = tuple(str(i) for i in ids.tolist())
    if labels.dtype.kind in "US":
        index, classes, numbered = number([str(n) for n in labels.tolist()], str(file))
    elif labels.dtype.kind in "iu":
        index = check_numbers(labels.astype(np.int64), str(file))
        classes, numbered = digit_names(index), True
    else:
        raise RequestError(f"{file}: labels are {labels.dtype}", "make them integers or names")
    return Listing(spec.text, spec.identity, names, index, classes, numbered, array=images)


def _check_size(file: Path) -> None:
    """Refuse an archive that would unpack to more than the machine's memory."""
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if unpacked > memory:
        raise RequestError(
            f"{file} unpacks to {unpacked >> 20} MiB, more than this machine's memory",
            "give the images as a folder or a CSV",
        )


def cifar(name: str) -> Callable[[Spec, bool], Listing]:
    """The opener of torchvision's dataset `name`, in torchvision's layout."""

    def open_cifar(spec: Spec, allow_outside: bool) -> Listing:
        from torchvision import datasets

        root = folder_of(spec)
        try:
            # torchvision unpickles a file only where its MD5 is the published one.
            data = getattr(datasets, name)(root, train=spec.part == "train", download=False)
        except RuntimeError as error:
            raise RequestError(
                f"{spec.text!r}: {root} does not hold {name} as torchvision lays it out",
                f"unpack the official archive there; its folder is {name.lower()}'s own",
            ) from error
        return _numbered_rows(spec, data.data, np.array(data.targets), tuple(data.classes))

    return open_cifar


def digits(spec: Spec, allow_outside: bool) -> Listing:
    """scikit-learn's digits, 8x8 in grey; the second part is a fixed, seeded third."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8, 1) * (255 / 16)).round().astype(np.uint8)
    order = np.random.RandomState(DIGITS_SEED).permutation(len(labels))
    second = np.zeros(len(labels), dtype=bool)
    second[order[: len(labels) // 3]] = True
    rows = np.flatnonzero(second if spec.part == "test" else ~second)
    whole = _numbered_rows(spec, pixels, labels, tuple("0123456789"))
    return whole.keep(rows)


def _numbered_rows(
    spec: Spec, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[Any], classes: tuple[str, ...]
) -> Listing:
    ids = tuple(str(i) for i in range(len(labels)))
    return Listing(spec.text, spec.identity, ids, labels.astype(np.int64), classes, array=pixels)
