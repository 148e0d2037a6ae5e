"""`npz:FILE`: arrays images (uint8, N x H x W x channels), labels (N) and, optionally, ids (N)."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from falw_cli.data.listing import Listing, Source, Spec, Table, bare_numbers, file_of, number
from falw_cli.errors import RequestError

Array = npt.NDArray[Any]
HARMLESS, MOST_PACKED = 64 << 20, 100
"""A file may unpack to this many bytes, or to this many times its size, whichever is more."""


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a file; nothing is unpickled, and sizes are checked first."""
    file = file_of(spec)
    hint = "provide images (uint8, N x H x W x channels), labels (N) and, optionally, ids (N)"
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
        index, classes, numbered = bare_numbers(labels.astype(np.int64), str(file))
    else:
        raise RequestError(f"{file}: labels are {labels.dtype}", "make them integers or names")
    table = partial(_table, file, names)
    return Listing(
        spec.text, spec.identity, names, index, classes, numbered, array=images, table=table
    )


def _table(file: Path, ids: tuple[str, ...]) -> Table:
    """Return labels and further arrays with one number or text per sample."""
    columns = {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            for name in set(arrays.files) - {"images", "ids"}:
                array = arrays[name]
                if array.shape == (len(ids),) and array.dtype.kind in "iufbUS":
                    text = array.dtype.kind == "S"
                    columns[name] = (np.char.decode(array, "utf-8") if text else array).tolist()
    except Exception as error:  # zipfile, zlib and numpy's header parser raise many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{file} cannot be read as npz: {reason}", "save it again") from error
    return Table(ids, dict(sorted(columns.items())))


def _unpack(file: Path, hint: str) -> tuple[Array, Array, Array]:
    """Return the arrays images, labels and ids; without ids, the row numbers."""
    try:
        _check_size(file)
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
            ids = arrays["ids"] if "ids" in arrays else np.arange(len(images))
        for names in (labels, ids):  # invalid text fails here
            if isinstance(names, np.ndarray) and names.dtype.kind in "US":
                names.tolist()
    except RequestError:
        raise
    except KeyError as error:
        raise RequestError(f"{file}: {error.args[0]}", hint) from error
    except Exception as error:  # zipfile, zlib and numpy's header parser raise many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{file} cannot be read as npz: {reason}", hint) from error
    for name, array in (("images", images), ("labels", labels), ("ids", ids)):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuUS":
            raise RequestError(f"{file}: {name} is not an array of numbers or names", hint)
    return images, labels, ids


def _check_size(file: Path) -> None:
    """Refuse an archive that unpacks to far more than its size, or than the free memory."""
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(HARMLESS, MOST_PACKED * file.stat().st_size):
        raise RequestError(
            f"{file} unpacks to {unpacked >> 20} MiB, which is too much for its size",
            "save it with numpy.savez",
        )
    free = psutil.virtual_memory().available
    if unpacked > free:
        raise RequestError(
            f"{file} unpacks to {unpacked >> 20} MiB, {free >> 20} MiB of memory are free",
            "give the images as a folder or a CSV",
        )


source = Source(listing)
