"""Decoding of untrusted image files.

Pillow is used because torchvision's decoder can crash the process on a malformed PNG.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from io import BytesIO
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from falw_cli.data.listing import Encoded, Listing, UnreadableError
from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Rows = npt.NDArray[np.int64]
T = TypeVar("T")

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
"""Formats, recognised by the first bytes and not by the file name."""
MOST_PIXELS = 1 << 26
"""Maximum number of pixels; a larger image, of over 192 MiB, is not decoded."""
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Pillow modes of at most eight bits per channel."""
SEEN = 1000
"""Number of images whose headers `falw inspect` reads."""
TURNED, DEEP, MADE_UPRIGHT = 1, 2, 4
"""Marks of an image: an EXIF orientation other than 1; 16 bits per channel; an orientation that
Pillow applies, in a TIFF."""
ORIENTATION = 0x0112
"""EXIF tag; 1 means that the pixels are stored upright."""


def decode(image: Encoded, name: str, channels: int, *, upright: bool = False) -> Tensor:
    """Decode an image, uint8 [channels, H, W].

    Args:
        image: its file, its bytes, or an image that a library has opened.
        name: its name in an error.
        channels: 1 (grey) or 3 (colour); transparency is dropped.
        upright: whether to rotate and mirror it as its EXIF orientation says.

    Raises:
        UnreadableError: it cannot be decoded, is too large, or has several frames.
    """
    return decode_marked(image, name, channels, upright=upright)[0]


def decode_marked(image: Encoded, name: str, channels: int, *, upright: bool) -> tuple[Tensor, int]:
    """Return what `decode` does, and the sum of the marks that hold."""
    mode = "L" if channels == 1 else "RGB"

    def read(picture: Picture) -> tuple[Tensor, int]:
        marks = _marks(picture)
        return _pixels(picture, mode, upright), marks

    return _with_picture(image, name, read)


def mark_notes(marks: npt.NDArray[np.uint8], which: str, *, upright: bool) -> list[str]:
    """Return notes on the marks of images; `upright`, whether orientations are applied."""
    turned, deep, tiff = (np.count_nonzero(marks & mark) for mark in (TURNED, DEEP, MADE_UPRIGHT))
    notes = []
    if turned and not upright:
        notes.append(
            f"{turned} of {which} have an EXIF orientation, which is ignored without "
            "preprocessing: {exif: apply} in falw.yaml"
        )
    if tiff:
        notes.append(f"{tiff} of {which} are TIFF images with an orientation, which is applied")
    if deep:
        notes.append(f"{deep} of {which} have 16 bits per channel: the upper eight are used")
    return notes


def header_notes(listing: Listing) -> list[str]:
    """Return notes on the first images: orientations, 16 bits, several sizes, unreadable images."""
    rows = min(SEEN, len(listing.files))
    found = [_header(listing, row) for row in range(rows)]
    unread, known = found.count(None), [one for one in found if one]
    marks = np.array([one[0] for one in known], dtype=np.uint8)
    sizes = Counter(one[1] for one in known)
    which = f"{rows:,} images" if rows == len(listing.ids) else f"the first {rows:,} images"
    notes = mark_notes(marks, which, upright=False)
    if len(sizes) > 1:
        most = ", ".join(f"{size} ({count})" for size, count in sizes.most_common(3))
        notes.append(f"{which} have {len(sizes)} sizes: {most}: preprocessing.image_size")
    if unread:
        notes.append(f"{unread} of {which} cannot be read")
    return notes


def _header(listing: Listing, row: int) -> tuple[int, str] | None:
    """Return the marks of an image, and its size; None if it cannot be read."""

    def read(picture: Picture) -> tuple[int, str]:
        return _marks(picture), f"{picture.width}x{picture.height}"

    try:
        return _with_picture(listing.files.image(row), listing.ids[row], read)
    except UnreadableError:
        return None


def size_of(image: Encoded, name: str) -> tuple[int, int]:
    """Return height and width from the image's header.

    Raises:
        UnreadableError: as `decode`.
    """
    return _with_picture(image, name, lambda picture: (picture.height, picture.width))


def first_size(listing: Listing, skip: bool) -> int:
    """Return the shorter side of the first image; with `skip`, of the first readable one.

    Raises:
        RequestError: there is no such image.
    """
    for row, name in enumerate(listing.ids):
        with suppress(UnreadableError) if skip else nullcontext():
            return min(size_of(listing.files.image(row), name))
    raise RequestError(f"no image of {listing.spec!r} can be read", "check the files")


def other_size(what: str, sides: Sequence[int], size: int) -> RequestError:
    """Return the error for images of another height and width than the first image, `size`."""
    return RequestError(
        f"{what} is {sides[1]}x{sides[0]} pixels; the input size, taken from the first image, is "
        f"{size}x{size}",
        "set preprocessing: {image_size: N} in falw.yaml",
    )


def count_listed(
    listing: Listing, listed: Rows, channels: int, error: UnreadableError
) -> RequestError:
    """Return the error for an unreadable image: it counts those of the list, if there are any.

    Args:
        listing: the samples.
        listed: rows of the list.
        channels: see `decode`.
        error: the error of the first unreadable image.
    """

    def problem(row: int) -> str:
        try:
            decode(listing.files.image(row), listing.ids[row], channels)
        except UnreadableError as unread:
            return str(unread)
        return ""

    bad = [text for text in map(problem, listed.tolist()) if text]
    if not bad:
        return error
    return RequestError(
        f"{len(bad)} of {len(listed)} listed images cannot be read, the first: {bad[0]}",
        "restore them, or leave them out with --skip-unreadable: they are then not forgotten",
    )


def _with_picture(image: Encoded, name: str, read: Callable[[Picture], T]) -> T:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `_check` refuses what Pillow warns about
            if isinstance(image, Image.Image):
                _check(image)
                return read(image)
            opened = BytesIO(image) if isinstance(image, bytes) else image
            with Image.open(opened, formats=FORMATS) as picture:
                _check(picture)
                return read(picture)
    except _RefusedError as error:
        reason = str(error)
    except UnidentifiedImageError:
        reason = f"it is not one of {', '.join(FORMATS)}"
    except Exception as error:  # a decoder may raise anything on a broken file
        reason = str(error) or type(error).__name__
    raise UnreadableError(
        f"image {name!r} cannot be read: {reason}",
        "fix or remove it, or skip such images with --skip-unreadable",
    )


class _RefusedError(Exception):
    """An image that can be decoded but is refused."""


def _check(picture: Picture) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise _RefusedError(f"{picture.width}x{picture.height} pixels are too many")
    if picture.mode not in MODES:
        raise _RefusedError(f"mode {picture.mode} is not eight bits per channel")
    # Some phones store a second picture in a JPEG (MPO): the first one is used.
    if picture.format not in ("JPEG", "MPO") and getattr(picture, "is_animated", False):
        raise _RefusedError("it has several frames")


def _marks(picture: Picture) -> int:
    """Return the sum of the marks of an image whose pixels were not read yet.

    Reading them may remove what they follow from.
    """
    deep = _is_deep(picture)
    return DEEP * deep + (MADE_UPRIGHT if picture.format == "TIFF" else TURNED) * _turned(picture)


def _turned(picture: Picture) -> bool:
    with suppress(Exception):  # broken EXIF data does not make an image unreadable
        return picture.getexif().get(ORIENTATION, 1) in range(2, 9)
    return False


def _is_deep(picture: Picture) -> bool:
    """Return whether a file has 16 bits per channel, of which Pillow reads the upper eight."""
    return any(re.search(";16|65535", str(tile[3])) for tile in getattr(picture, "tile", ()))


def _pixels(picture: Picture, mode: str, upright: bool) -> Tensor:
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(picture) if upright else picture
    pixels = np.array(turned.convert(mode))
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
