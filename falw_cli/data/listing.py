"""The interface of data sources, and checks that several sources share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

Encoded: TypeAlias = "Path | bytes | Image"
"""An encoded image, as a source returns it."""
Rows: TypeAlias = "npt.NDArray[np.int64]"


@dataclass(frozen=True)
class Table:
    """Further columns of a source, such as the person on an image; one value per ID."""

    ids: Sequence[str]
    columns: Mapping[str, Sequence[object]]


class UnreadableError(RequestError):
    """An image of a listing cannot be decoded, is too large, or has several frames."""


class StoredImages(Protocol):
    """Encoded images in files, tables or archives."""

    def __len__(self) -> int:
        """Return the number of images."""

    def image(self, row: int) -> Encoded:
        """Return the image of a row: its file, its bytes, or an image that a library opened."""

    def marks(self) -> Iterator[str]:
        """Yield a text per row that changes if its image does; a missing file is no error."""

    def keep(self, rows: npt.NDArray[np.int64]) -> StoredImages:
        """Return the images of some rows, in the order of `rows`."""


def mark_of(file: Path) -> str:
    """Return path, size and modification time of a file; decoding reports a missing file."""
    try:
        state = file.stat()
    except OSError:
        return f"{file}\0missing"
    return f"{file}\0{state.st_size}\0{state.st_mtime_ns}"


@dataclass(frozen=True)
class Files(StoredImages):
    """Files below a folder, kept as names: a million Path objects would take up much memory."""

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, row: int) -> Path:
        return self.root / self.names[row]

    def marks(self) -> Iterator[str]:
        return (mark_of(self.root / name) for name in self.names)

    def keep(self, rows: npt.NDArray[np.int64]) -> Files:
        return Files(self.root, tuple(self.names[i] for i in rows))


@dataclass(frozen=True)
class Listing:
    """The samples of a data source, N of them.

    `array` (uint8 [N, H, W, channels]) or `files` (N paths) holds the images, never both.
    """

    spec: str
    identity: str
    """Equal for two SPECs that name the same samples."""
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    """Index into `classes`, [N]."""
    classes: tuple[str, ...]
    numbered: bool = False
    """Whether labels are bare numbers, which are the model's outputs, and not names."""
    files: StoredImages = Files(Path(), ())
    array: npt.NDArray[np.uint8] | None = None
    table: Callable[[], Table] | None = None
    """Reads the source's further columns; it may have more rows than the listing."""

    def raw(self, row: int) -> bytes:
        """Return the encoded image of a row as bytes."""
        image = self.files.image(row)
        if isinstance(image, bytes):
            return image
        return image.read_bytes() if isinstance(image, Path) else image.tobytes()

    def keep(self, rows: npt.NDArray[np.int64]) -> Listing:
        """Return the listing of some rows, in their order."""
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            labels=self.labels[rows],
            files=self.files.keep(rows) if len(self.files) else self.files,
            array=None if self.array is None else self.array[rows],
        )

    def of_each_class(self, begin: int, end: int) -> Listing:
        """Return rows `begin` to `end` - 1 of each class, in the order of the listing.

        Raises:
            RequestError: there are no such rows.
        """
        place = np.empty(len(self.ids), dtype=np.int64)
        for index in range(len(self.classes)):
            rows = np.flatnonzero(self.labels == index)
            place[rows] = np.arange(len(rows))
        kept = np.flatnonzero((place >= begin) & (place < end))
        if not len(kept):
            raise RequestError(
                f"{self.spec!r} has no rows {begin} to {end} of any class", "fix per_class"
            )
        return self.keep(kept)


@dataclass(frozen=True)
class Spec:
    """A parsed data SPEC: `kind:location#part`."""

    text: str
    kind: str
    location: Path
    part: str

    @property
    def identity(self) -> str:
        """Kind, resolved location and part."""
        return f"{self.kind}:{self.location.resolve()}#{self.part}"


@dataclass(frozen=True)
class Source:
    """A kind of data; each module of `falw_cli.data.sources` assigns one to `source`.

    Attributes:
        listing: (spec, whether files outside its folder are allowed) -> the listing.
        parts: "two" if there are #train and #test, and the flag decides which is the default;
            "optional" if a SPEC without a part means all samples.
        needs_location: whether a SPEC must have a location.
    """

    listing: Callable[[Spec, bool], Listing]
    parts: Literal["none", "two", "optional"] = "none"
    needs_location: bool = True


def folder_of(spec: Spec) -> Path:
    """Return the folder that a SPEC names; it must exist."""
    if not spec.location.is_dir():
        raise RequestError(f"{spec.text!r}: no folder {spec.location}", "check the path")
    return spec.location


def file_of(spec: Spec) -> Path:
    """Return the file that a SPEC names; it must exist."""
    if not spec.location.is_file():
        raise RequestError(f"{spec.text!r}: no file {spec.location}", "check the path")
    return spec.location


def files_below(place: Path, pattern: str) -> list[Path]:
    """Return the files of a folder, at any depth, in the order of their paths; or a file itself."""
    if not place.is_dir():
        return [place]
    return sorted(file for file in place.rglob(pattern) if file.is_file())


def inside(path: Path, root: Path) -> bool:
    """Return whether a path is in `root`, after links are followed."""
    real = os.path.realpath(path)
    return os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root)


Numbered = tuple[npt.NDArray[np.int64], tuple[str, ...], bool]
"""Index of each label, class names, and whether labels are bare numbers."""


def number(names: list[str], where: str) -> Numbered:
    """Return the index of each label, class names, and whether labels are bare numbers."""
    if all(name.isascii() and name.isdigit() for name in names):
        return bare_numbers(np.array([int(name) for name in names], dtype=np.int64), where)
    classes = tuple(sorted(set(names)))
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place[name] for name in names], dtype=np.int64), classes, False


def bare_numbers(labels: npt.NDArray[np.int64], where: str) -> Numbered:
    """Return what `number` does for integers; they must be possible outputs of a model."""
    if len(labels) and (labels.min() < 0 or labels.max() >= 100_000):
        raise RequestError(
            f"{where}: labels range from {labels.min()} to {labels.max()}",
            "number the classes from 0, as the model's outputs are",
        )
    return labels, digit_names(labels), True


def digit_names(labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Return class names of bare numbers, "0" to the largest."""
    return tuple(str(i) for i in range(int(labels.max(initial=-1)) + 1))
