"""`npz:FILE`: arrays images (uint8, N x H x W x channels), labels (N) and, optionally, ids (N)."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psutil

from falw_cli.data.columns import SPLIT
from falw_cli.data.labels import (
    bare_numbers,
    id_texts,
    integers,
    number,
    shown,
    text_of,
    whole_numbers,
)
from falw_cli.data.listing import (
    TRAINING,
    UNSEEN,
    Listing,
    Source,
    Spec,
    Table,
    choose_part,
    file_of,
)
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted

Array = npt.NDArray[Any]
HINT = "provide images (uint8, N x H x W x channels), labels (N) and, optionally, ids (N)"
TEXT = (
    "such arrays are pickled, which could run code: save labels and ids as text, labels.astype(str)"
)
PATTERNS = (("{}_images", "{}_labels", "{}_ids"), ("x_{}", "y_{}", "ids_{}", "{}_ids"))
"""Names of a part's images, labels and IDs, as MedMNIST and Keras name them."""
KNOWN = (*TRAINING, *UNSEEN)
HARMLESS, MOST_PACKED = 64 << 20, 100
"""A file may unpack to this many bytes, or to this many times its size, whichever is more."""


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a file; nothing is unpickled, and sizes are checked first."""
    file = file_of(spec)
    keys = _keys(spec, file)
    images, labels, ids, by_row = _unpack(file, keys)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        shape = "x".join(str(n) for n in images.shape)
        raise RequestError(f"{file}: images are {images.dtype} of {shape}", HINT)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        raise RequestError(
            f"{file}: labels have {labels.shape[1]} columns: each sample must have one class",
            "give one label per sample, of shape (N) or (N, 1)",
        )
    if labels.ndim != 1 or len(labels) != len(images) or ids.shape != labels.shape:
        raise RequestError(
            f"{file}: {keys.images} has {len(images)} images, {keys.labels} the shape "
            f"{labels.shape}" + (f", {keys.ids} {ids.shape}" if keys.ids else ""),
            HINT,
        )
    names = tuple(id_texts(ids.tolist(), str(file)))
    if labels.dtype.kind in "US":
        found = number([text_of(n) for n in labels.tolist()], str(file))
    elif labels.dtype.kind == "f":
        found = whole_numbers(labels.astype(np.float64), str(file))
    else:
        found = bare_numbers(integers(labels.tolist(), str(file)), str(file))
    unused = [name for name in keys.extra if _shape(file, name) != labels.shape]
    unused += [name for name in keys.extra if name.casefold() == SPLIT and name not in unused]
    notes = (*found.notes, *keys.notes, *_not_used(unused))
    if keys.part and not spec.part:
        notes = (*notes, f"the part {keys.part!r} is used of {', '.join(keys.parts)}")
    return Listing(
        spec.text, replace(spec, part=keys.part).identity, names, found.indices, found.classes,
        found.numbered, array=images, table=partial(_table, file, keys, names), notes=notes,
        parts=keys.parts, by_row=by_row,
    )  # fmt: skip


class Keys(NamedTuple):
    """Names of the arrays to read, and the part that they are; without parts, both are empty."""

    images: str = "images"
    labels: str = "labels"
    ids: str | None = "ids"
    part: str = ""
    parts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    """Arrays of a file without parts that may be columns."""


def _keys(spec: Spec, file: Path) -> Keys:
    """Return the arrays to read: images and labels, or those of a part, as MedMNIST has them.

    Raises:
        RequestError: there is no such part.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RequestError(f"{file} cannot be read as npz: {error}", HINT) from error
    parts = _parts(names)
    if "images" in names and not spec.part:
        note = f"the array 'images' is used; there are also the parts {', '.join(parts)}"
        read = {*Keys()[:3], *(name for one in parts.values() for name in one[:3])}
        return Keys(
            ids="ids" if "ids" in names else None, notes=(note,) if parts else (),
            extra=tuple(sorted(names - read)),
        )  # fmt: skip
    if not parts and not spec.part:
        raise RequestError(f"{file} holds the arrays {shown(sorted(names))}", HINT)
    keys = parts[choose_part(spec, tuple(parts))]
    if keys.ids is None and "ids" in names and "images" not in names:
        keys = _with_ids(file, keys, parts)
    used = {name for one in (*parts.values(), keys) for name in (one.images, one.labels, one.ids)}
    unused = sorted(names - used - ({*Keys()[:3]} if "images" in names else set()))
    return keys._replace(parts=tuple(parts), notes=_not_used(unused))


def _not_used(names: list[str]) -> tuple[str, ...]:
    """Return a note on arrays that are passed over, if there are any."""
    note = f"{counted(len(names), 'array is', 'arrays are')} not used: {shown(names)}"
    return (note,) if names else ()


def _shape(file: Path, name: str) -> tuple[int, ...] | None:
    """Return the shape of an array by its header; None if it cannot be read."""
    form = np.lib.format
    known = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            shape: tuple[int, ...] = known[form.read_magic(stream)](stream)[0]
            return shape
    except Exception:  # zipfile, zlib and numpy's header parser raise many types
        return None


def _parts(names: set[str]) -> dict[str, Keys]:
    """Return the arrays of each part that has images and labels; known parts are first."""
    found: dict[str, Keys] = {}
    for pattern in PATTERNS:
        begin, end = pattern[0].split("{}")
        inner = {
            name.removeprefix(begin).removesuffix(end)
            for name in names
            if name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)
        }
        for part in (one for one in (*KNOWN, *sorted(inner - {*KNOWN})) if one in inner):
            images, labels, *ids = (one.format(part) for one in pattern)
            if labels in names:
                own = next((name for name in ids if name in names), None)
                found.setdefault(part, Keys(images, labels, own, part))
    return found


def _with_ids(file: Path, keys: Keys, parts: dict[str, Keys]) -> Keys:
    """Return the arrays of a part with `ids`, if these are as many as the labels of that part.

    Raises:
        RequestError: `ids` fit no part, or several.
    """
    try:
        _check_size(file)
        with np.load(file, allow_pickle=False) as arrays:
            count = len(arrays["ids"])
            fit = [part for part, one in parts.items() if len(arrays[one.labels]) == count]
    except RequestError:
        raise
    except Exception as error:  # zipfile, zlib and numpy's header parser raise many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{file} cannot be read as npz: {reason}", HINT) from error
    if len(fit) != 1:
        raise RequestError(
            f"{file}: the {count} ids fit {' and '.join(fit) or 'no part'}",
            f"name the IDs of each part: {keys.part}_ids",
        )
    return keys._replace(ids="ids") if fit == [keys.part] else keys


def _table(file: Path, keys: Keys, ids: tuple[str, ...]) -> Table:
    """Return labels and further arrays with one number or text per sample."""
    columns, unusable = {}, {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            some = {keys.labels} if keys.part else set(arrays.files) - {keys.images, "ids"}
            for name in some:
                array = arrays[name]
                if name == keys.labels and array.shape == (len(ids), 1):
                    array = array[:, 0]
                if array.shape == (len(ids),) and array.dtype.kind in "iufbUS":
                    text = array.dtype.kind == "S"
                    column = "labels" if name == keys.labels else name
                    columns[column] = (np.char.decode(array, "utf-8") if text else array).tolist()
                else:
                    shape = " x ".join(map(str, array.shape))
                    unusable[name] = (
                        f"the array {name!r} ({array.dtype}, {shape}) is no column: that needs one "
                        f"number or text for each of the {len(ids)} samples"
                    )
    except Exception as error:  # zipfile, zlib and numpy's header parser raise many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RequestError(f"{file} cannot be read as npz: {reason}", "save it again") from error
    return Table(ids, dict(sorted(columns.items())), dict(sorted(unusable.items())))


def _unpack(file: Path, keys: Keys) -> tuple[Array, Array, Array, bool]:
    """Return images, labels and ids; without ids, the row numbers and true."""
    try:
        _check_size(file)
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays[keys.images], arrays[keys.labels]
            own = {} if keys.ids is None else {"ids": arrays[keys.ids]}
            for name, array in {"images": images, "labels": labels, **own}.items():
                if isinstance(array, np.ndarray) and array.nbytes == 0:
                    raise ValueError(f"{name} has no values")  # and may claim any length
            ids = own.get("ids", np.arange(len(images)))
        for names in (labels, ids):  # invalid text fails here
            if isinstance(names, np.ndarray) and names.dtype.kind in "US":
                names.tolist()
    except RequestError:
        raise
    except KeyError as error:
        raise RequestError(f"{file}: {error.args[0]}", HINT) from error
    except Exception as error:  # zipfile, zlib and numpy's header parser raise many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        hint = TEXT if "Object arrays" in reason else HINT
        raise RequestError(f"{file} cannot be read as npz: {reason}", hint) from error
    for name, array in (("images", images), ("labels", labels), ("ids", ids)):
        kinds = "iuUS" if name == "ids" else "iufbUS"
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
            raise RequestError(f"{file}: {name} is not an array of numbers or names", HINT)
    return images, labels, ids, not own


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


source = Source(listing, parts="any")
