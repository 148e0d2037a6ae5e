"""Sources whose images are arrays already: npz, torchvision's CIFAR sets, scikit-learn's digits."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

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

Array = npt.NDArray[Any]
HARMLESS, MOST_PACKED = 64 << 20, 100
"""An npz may unpack to so many bytes in any case, or else to so many times its size."""
DIGITS_SEED = 20260118
"""Of the fixed third of the digits that is their second part."""


def npz(spec: Spec, allow_outside: bool) -> Listing:
    """Arrays images (uint8 NHWC) and labels, perhaps ids; no pickle, sizes checked first."""
    file = file_of(spec)
    hint = "it needs images (uint8, N x H x W x channels), labels (N) and may have ids (N)"
    images, labels, ids = _unpack(file, hint)
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


def _unpack(file: Path, hint: str) -> tuple[Array, Array, Array]:
    """The arrays images, labels and ids, or row numbers in place of these."""
    try:
        _check_size(file)
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
            ids = arrays["ids"] if "ids" in arrays else np.arange(len(images))
        for names in (labels, ids):  # text that is none fails here
            if isinstance(names, np.ndarray) and names.dtype.kind in "US":
                names.tolist()
    except RequestError:
        raise
    except KeyError as error:
        raise RequestError(f"{file}: {error.args[0]}", hint) from error
    except Exception as error:  # zipfile, zlib and numpy's reader of headers raise many kinds
        told = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{file} cannot be read as npz: {told}", hint) from error
    for name, array in (("images", images), ("labels", labels), ("ids", ids)):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuUS":
            raise RequestError(f"{file}: {name} is no array of numbers or names", hint)
    return images, labels, ids


def _check_size(file: Path) -> None:
    """Refuse an archive that would unpack to far more than it takes up, or than there is room."""
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(HARMLESS, MOST_PACKED * file.stat().st_size):
        raise RequestError(
            f"{file} unpacks to {unpacked >> 20} MiB, which is suspiciously much for its size",
            "save it with numpy.savez",
        )
    free = psutil.virtual_memory().available
    if unpacked > free:
        raise RequestError(
            f"{file} unpacks to {unpacked >> 20} MiB, {free >> 20} MiB of memory are free",
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
