"""The interface of data sources, and checks that several sources share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
TRAINING = ("train", "training", "trainval")
"""Names of the part that --data takes by default, in this order."""
UNSEEN = ("test", "testing", "validation", "valid", "val", "dev")
"""Names of the part that --heldout and --test take by default, in this order."""


@dataclass(frozen=True)
class Table:
    """Further columns of a source, such as the person on an image; one value per ID.

    `unusable` says for other entries of the source, by name, why they are no columns.
    """

    ids: Sequence[str]
    columns: Mapping[str, Sequence[object]]
    unusable: Mapping[str, str] = field(default_factory=dict)


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
    notes: tuple[str, ...] = ()
    """What was guessed, and what was passed over; without IDs of samples."""
    parts: tuple[str, ...] = ()
    """Names of the parts that the source has, if it has any."""
    empty: tuple[str, ...] = ()
    """Names of classes without samples, which `classes` does not hold."""
    by_row: bool = False
    """Whether IDs are row numbers, which change if rows are removed."""

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
    """A parsed data SPEC: `kind:location#part`.

    Attributes:
        text: as the user wrote it.
        part: the named part; without one, the default of a source with `parts="two"`, else "".
        default: the part that the flag stands for: "train" or "test".
        label_column: the column of labels, if the user names one.
    """

    text: str
    kind: str
    location: Path
    part: str
    default: str = "train"
    label_column: str | None = None

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
            "any" if the data decides which parts there are, and the source what a SPEC without a
            part means.
        needs_location: whether a SPEC must have a location.
        columns: whether labels are in a column, which `label_column` can name.
    """

    listing: Callable[[Spec, bool], Listing]
    parts: Literal["none", "two", "any"] = "none"
    needs_location: bool = True
    columns: bool = False


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


def choose_part(spec: Spec, parts: Sequence[str]) -> str:
    """Return the part of a source that must be read by parts: the named one, or the flag's.

    Case is ignored, unless two parts differ by it only.

    Args: parts, names of those that there are.

    Raises:
        RequestError: there is no such part.
    """
    alike = TRAINING if spec.default == "train" else UNSEEN
    exact = [spec.part] if spec.part else [*alike, spec.default]
    folded = {name.casefold(): name for name in parts}
    found = [name for name in exact if name in parts]
    if len(folded) == len(parts):
        found += [folded[name.casefold()] for name in exact if name.casefold() in folded]
    part = found[0] if found else exact[-1]
    if not found:
        raise RequestError(
            f"{spec.text!r} has no part {part!r}",
            f"choose from: {', '.join(f'#{name}' for name in parts)}"
            if parts
            else f"leave out #{part}",
        )
    return part


def files_below(place: Path, pattern: str) -> list[Path]:
    """Return the files of a folder, at any depth, in the order of their paths."""
    return sorted(file for file in place.rglob(pattern) if file.is_file())


def inside(path: Path, root: Path) -> bool:
    """Return whether a path is in `root`, after links are followed."""
    real = os.path.realpath(path)
    return os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root)
