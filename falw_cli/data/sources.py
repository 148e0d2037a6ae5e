"""Data SPECs -> listings: stable string IDs, labels, class names, and where the images are.

A listing is cheap: images are read by `falw_cli.data.images`, when they are needed.
"""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from falw_cli.errors import RequestError, unknown_name

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})
DIGITS_SEED = 20260118
"""Of the fixed third of the digits that is their second part."""


@dataclass(frozen=True)
class Listing:
    """The samples of a data source, N of them.

    `array` (uint8 [N, H, W, channels]) or `files` (N paths) holds the images, never both.
    """

    spec: str
    identity: str
    """The same for two SPECs that mean the same samples."""
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    """Index into `classes`, [N]."""
    classes: tuple[str, ...]
    numbered: bool = False
    """Labels are bare numbers, which mean the model's outputs, and not names."""
    files: tuple[Path, ...] = ()
    array: npt.NDArray[np.uint8] | None = None

    def keep(self, rows: npt.NDArray[np.int64]) -> Listing:
        """The listing of some rows, in their order."""
        return Listing(
            self.spec,
            self.identity,
            tuple(self.ids[i] for i in rows),
            self.labels[rows],
            self.classes,
            self.numbered,
            tuple(self.files[i] for i in rows) if self.files else (),
            None if self.array is None else self.array[rows],
        )


@dataclass(frozen=True)
class Spec:
    """A data SPEC taken apart: `kind:location#part`."""

    text: str
    kind: str
    location: Path
    part: str

    @property
    def identity(self) -> str:
        """Kind, resolved location and part."""
        return f"{self.kind}:{self.location.resolve()}#{self.part}"


def parse_spec(text: str, default_part: str) -> Spec:
    """Take a SPEC apart.

    Args:
        text: as the user wrote it.
        default_part: "train" for --data, "test" for --heldout and --test.

    Raises:
        RequestError: an unknown kind, part, or a missing location.
    """
    body, mark, part = text.rpartition("#")
    if not mark or part not in ("train", "test"):
        body, part = text, ""
    kind, _, location = body.partition(":")
    if kind not in OPENERS:
        raise unknown_name("data kind", kind, OPENERS)
    if kind not in TWO_PARTS and part:
        raise RequestError(f"{text!r}: {kind} has no parts", f"leave out #{part}")
    if not location and kind != "digits":
        raise RequestError(f"{text!r} names no location", f"write {kind}:PATH")
    return Spec(text, kind, Path(location), (part or default_part) if kind in TWO_PARTS else "")


def open_listing(text: str, default_part: str = "train", *, allow_outside: bool = False) -> Listing:
    """List the samples of a data SPEC.

    Args:
        text: `kind:location`, see CONTRACT: imagefolder, csv, npz, cifar10, cifar100, digits.
        default_part: the part of a two-part set that goes without saying.
        allow_outside: may a CSV name files outside its own folder?

    Raises:
        RequestError: the source is missing, empty, malformed, or an ID stands in it twice.
    """
    spec = parse_spec(text, default_part)
    listing = OPENERS[spec.kind](spec, allow_outside)
    if not listing.ids:
        raise RequestError(f"{text!r} holds no images", "check the location and the layout")
    if len(set(listing.ids)) != len(listing.ids):
        seen: set[str] = set()
        twice = next(i for i in listing.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise RequestError(f"{text!r}: ID {twice!r} stands there twice", "make the IDs unique")
    return listing


def _folder(spec: Spec) -> Path:
    if not spec.location.is_dir():
        raise RequestError(f"{spec.text!r}: no folder {spec.location}", "check the path")
    return spec.location


def _file(spec: Spec) -> Path:
    if not spec.location.is_file():
        raise RequestError(f"{spec.text!r}: no file {spec.location}", "check the path")
    return spec.location


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    """(ID, path) of every image below `folder`, at any depth."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_dir():
                yield from _walk(entry.path, f"{name}/")
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 (speed)
                yield name, entry.path


def _imagefolder(spec: Spec, allow_outside: bool) -> Listing:
    root = _folder(spec)
    classes = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir()))
    if not classes:
        raise RequestError(
            f"{spec.text!r}: no class folders in {root}", "lay it out as DIR/CLASS/image.jpg"
        )
    rows = sorted(
        (name, path, label)
        for label, folder in enumerate(classes)
        for name, path in _walk(str(root / folder), f"{folder}/")
    )
    return Listing(
        spec.text,
        spec.identity,
        tuple(row[0] for row in rows),
        np.array([row[2] for row in rows], dtype=np.int64),
        classes,
        files=tuple(Path(row[1]) for row in rows),
    )


def _csv(spec: Spec, allow_outside: bool) -> Listing:
    file = _file(spec)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = reader.fieldnames or []
            if not {"path", "label"} <= set(columns):
                raise RequestError(
                    f"{file} line 1: columns are {', '.join(columns) or 'missing'}",
                    "a CSV source needs the columns path,label and may have id",
                )
            rows = [
                _csv_row(file, reader.line_num, row, allow_outside)
                for row in reader
                if any(row.values())
            ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise RequestError(f"{file}: not a CSV in UTF-8: {error}", "save it again") from error
    rows.sort(key=lambda row: row[0])
    labels, classes, numbered = _number([row[2] for row in rows], str(file))
    files = tuple(row[1] for row in rows)
    ids = tuple(row[0] for row in rows)
    return Listing(spec.text, spec.identity, ids, labels, classes, numbered, files)


def _csv_row(
    file: Path, line: int, row: dict[str, Any], allow_outside: bool
) -> tuple[str, Path, str]:
    path, label = row.get("path"), row.get("label")
    if not path or not label or "\0" in path:
        raise RequestError(f"{file} line {line}: path or label is missing", "mend that line")
    full = file.parent / path
    if not allow_outside and not _inside(full, file.parent):
        raise RequestError(
            f"{file} line {line}: {path!r} lies outside the CSV's folder",
            "keep the images below the CSV, or give --allow-outside if you trust it",
        )
    return str(row.get("id") or path), full, str(label).strip()


def _inside(path: Path, root: Path) -> bool:
    real = os.path.realpath(path)
    return os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root)


def _number(names: list[str], where: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...], bool]:
    """Labels as written -> (index of each, class names, whether they are bare numbers)."""
    if all(name.isascii() and name.isdigit() for name in names):
        labels = np.array([int(name) for name in names], dtype=np.int64)
        return _check_numbers(labels, where), _digit_names(labels), True
    classes = tuple(sorted(set(names)))
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place[name] for name in names], dtype=np.int64), classes, False


def _check_numbers(labels: npt.NDArray[np.int64], where: str) -> npt.NDArray[np.int64]:
    if len(labels) and (labels.min() < 0 or labels.max() >= 100_000):
        raise RequestError(
            f"{where}: labels run from {labels.min()} to {labels.max()}",
            "number the classes from 0, as the model's outputs are",
        )
    return labels


def _digit_names(labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(str(i) for i in range(int(labels.max(initial=-1)) + 1))


def _npz(spec: Spec, allow_outside: bool) -> Listing:
    file = _file(spec)
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
        index, classes, numbered = _number([str(n) for n in labels.tolist()], str(file))
    elif labels.dtype.kind in "iu":
        index = _check_numbers(labels.astype(np.int64), str(file))
        classes, numbered = _digit_names(index), True
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


def _cifar(name: str) -> Callable[[Spec, bool], Listing]:
    def open_cifar(spec: Spec, allow_outside: bool) -> Listing:
        from torchvision import datasets

        root = _folder(spec)
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


def _digits(spec: Spec, allow_outside: bool) -> Listing:
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


OPENERS: dict[str, Callable[[Spec, bool], Listing]] = {
    "imagefolder": _imagefolder,
    "csv": _csv,
    "npz": _npz,
    "cifar10": _cifar("CIFAR10"),
    "cifar100": _cifar("CIFAR100"),
    "digits": _digits,
}
"""The data sources by kind: a new one is a function from its Spec to a Listing, and a line here."""
TWO_PARTS = frozenset({"cifar10", "cifar100", "digits"})
