"""An image file -> its pixels; files may come from anyone.

Pillow decodes: torchvision's own decoder can end the whole process on a malformed PNG.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from falw_cli.data.listing import Encoded
from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

T = TypeVar("T")

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Told by their first bytes, whatever the file is called."""
MOST_PIXELS = 1 << 26
"""A larger image is refused before it is decoded: it would take over 192 MiB."""
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Eight bits a channel, or fewer."""


def decode(image: Encoded, name: str, channels: int) -> Tensor:
    """Decode an image, uint8 [channels, H, W].

    Args:
        image: its file, its bytes, or what a library has opened.
        name: what it is called in an error.
        channels: 1, grey, or 3, colour; transparency is dropped.

    Raises:
        RequestError: it cannot be decoded, is too large, or has several frames.
    """
    return _look(image, name, lambda picture: _pixels(picture, "L" if channels == 1 else "RGB"))


def size_of(image: Encoded, name: str) -> tuple[int, int]:
    """Height and width, by the image's header.

    Raises:
        RequestError: as `decode`.
    """
    return _look(image, name, lambda picture: (picture.height, picture.width))


def _look(image: Encoded, name: str, look: Callable[[Picture], T]) -> T:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow would warn of is refused here
            if isinstance(image, Image.Image):
                _check(image)
                return look(image)
            opened = BytesIO(image) if isinstance(image, bytes) else image
            with Image.open(opened, formats=FORMATS) as picture:
                _check(picture)
                return look(picture)
    except _RefusedError as error:
        reason = str(error)
    except UnidentifiedImageError:
        reason = f"it is none of {', '.join(FORMATS)}"
    except Exception as error:  # a decoder may raise anything on a broken file
        reason = str(error) or type(error).__name__
    raise RequestError(
        f"image {name!r} cannot be read: {reason}",
        "mend or remove it, or leave such images out with --skip-unreadable",
    )


class _RefusedError(Exception):
    """An image that could be decoded, and is not."""


def _check(picture: Picture) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise _RefusedError(f"{picture.width}x{picture.height} pixels are too many")
    if picture.mode not in MODES:
        raise _RefusedError(f"pixels are {picture.mode}, not eight bits a channel")
    # Some phones put a second picture into a JPEG, which is then called MPO: the first is meant.
    if picture.format not in ("JPEG", "MPO") and getattr(picture, "is_animated", False):
        raise _RefusedError("it has several frames")


def _pixels(picture: Picture, mode: str) -> Tensor:
    pixels = np.array(picture.convert(mode))
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
