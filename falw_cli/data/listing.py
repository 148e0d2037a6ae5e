"""What every data source gives: a Spec taken apart, and the Listing of its samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

Encoded: TypeAlias = "Path | bytes | Image"
"""An image as a source gives it."""


class Stored(Protocol):
    """Encoded images, wherever they lie."""

    def __len__(self) -> int:
        """How many there are."""

    def image(self, row: int) -> Encoded:
        """The image of a row: its file, its bytes, or what a library has opened."""

    def marks(self) -> Iterator[str]:
        """Of each row what changes where its image changes; without it where it is missing."""

    def keep(self, rows: npt.NDArray[np.int64]) -> Stored:
        """Those of some rows, in their order."""


def mark_of(file: Path) -> str:
    """Path, size and time of change of a file; decoding says why one is missing."""
    try:
        state = file.stat()
    except OSError:
        return f"{file}\0missing"
    return f"{file}\0{state.st_size}\0{state.st_mtime_ns}"


@dataclass(frozen=True)
class Files(Sequence[Path]):
    """Paths below a folder, kept as names: a million Path objects would take up much memory."""

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Path:  # type: ignore[override]  # nobody slices them
        """The path of a row."""
        return self.root / self.names[row]

    def image(self, row: int) -> Path:
        """See `Stored`."""
        return self[row]

    def marks(self) -> Iterator[str]:
        """See `Stored`."""
        return map(mark_of, self)

    def keep(self, rows: npt.NDArray[np.int64]) -> Files:
        """Those of some rows, in their order."""
        return Files(self.root, tuple(self.names[i] for i in rows))


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
    files: Stored = Files(Path(), ())
    array: npt.NDArray[np.uint8] | None = None

    def raw(self, row: int) -> bytes:
        """The encoded image of a row as bytes."""
        image = self.files.image(row)
        if isinstance(image, bytes):
            return image
        return image.read_bytes() if isinstance(image, Path) else image.tobytes()

    def keep(self, rows: npt.NDArray[np.int64]) -> Listing:
        """The listing of some rows, in their order."""
        return Listing(
            self.spec,
            self.identity,
            tuple(self.ids[i] for i in rows),
            self.labels[rows],
            self.classes,
            self.numbered,
            self.files.keep(rows) if len(self.files) else self.files,
            None if self.array is None else self.array[rows],
        )

    def of_each_class(self, begin: int, end: int) -> Listing:
        """The listing of rows `begin` to `end` - 1 of each class, in the order of the listing.

        Raises:
            RequestError: none is left.
        """
        place = np.empty(len(self.ids), dtype=np.int64)
        for index in range(len(self.classes)):
            rows = np.flatnonzero(self.labels == index)
            place[rows] = np.arange(len(rows))
        kept = np.flatnonzero((place >= begin) & (place < end))
        if not len(kept):
            raise RequestError(
                f"{self.spec!r} has no rows {begin} to {end} of any class", "mend per_class"
            )
        return self.keep(kept)


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


def folder_of(spec: Spec) -> Path:
    """The folder that a spec names; refused where there is none."""
    if not spec.location.is_dir():
        raise RequestError(f"{spec.text!r}: no folder {spec.location}", "check the path")
    return spec.location


def file_of(spec: Spec) -> Path:
    """The file that a spec names; refused where there is none."""
    if not spec.location.is_file():
        raise RequestError(f"{spec.text!r}: no file {spec.location}", "check the path")
    return spec.location


def number(names: list[str], where: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...], bool]:
    """Labels as written -> (index of each, class names, whether they are bare numbers)."""
    if all(name.isascii() and name.isdigit() for name in names):
        labels = np.array([int(name) for name in names], dtype=np.int64)
        return check_numbers(labels, where), digit_names(labels), True
    classes = tuple(sorted(set(names)))
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place[name] for name in names], dtype=np.int64), classes, False


def check_numbers(labels: npt.NDArray[np.int64], where: str) -> npt.NDArray[np.int64]:
    """Labels as they are; refused where they cannot be a model's outputs."""
    if len(labels) and (labels.min() < 0 or labels.max() >= 100_000):
        raise RequestError(
            f"{where}: labels run from {labels.min()} to {labels.max()}",
            "number the classes from 0, as the model's outputs are",
        )
    return labels


def digit_names(labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Class names of bare numbers, "0" to the largest."""
    return tuple(str(i) for i in range(int(labels.max(initial=-1)) + 1))
