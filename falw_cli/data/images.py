"""Images of a listing, decoded once: uint8 [N, S, S, channels], with a digest of each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data import cache as cached
from falw_cli.data.cache import Draft
from falw_cli.data.decoding import count_listed, decode_marked, first_size, mark_notes, other_size
from falw_cli.data.listing import Listing, UnreadableError
from falw_cli.errors import RequestError, RunError
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress

Rows = npt.NDArray[np.int64]
NONE = np.empty(0, dtype=np.int64)
SMALLEST, LARGEST = 8, 4096  # pixels, as in `Preprocessing`
CHUNK = 256
"""Images that a thread decodes between two updates of the progress bar."""


@dataclass(frozen=True)
class Geometry:
    """Geometry of decoded images: shorter side `resize`, centre crop `size`, `channels`."""

    size: int
    resize: int
    channels: int
    interpolation: str = "bilinear"
    squash: bool = False
    """Resize both sides to `resize`, not only the shorter one."""
    upright: bool = field(default=False, repr=False)
    """Apply the EXIF orientation."""
    guessed: bool = field(default=False, repr=False, compare=False)
    """Refuse images of another size: `size` is that of the first image, and nobody chose it."""

    @property
    def key(self) -> str:
        """A text that is equal for equal geometries."""
        text = f"{self}{' upright' * self.upright}{' guessed' * self.guessed}"
        return text.replace("nearest", "nearest-exact")

    def shape(self, count: int) -> tuple[int, int, int, int]:
        """Return the shape of the pixels of `count` images."""
        return count, self.size, self.size, self.channels


@dataclass(frozen=True)
class Decoding:
    """How images are decoded: see `load`."""

    wanted: Geometry
    may_skip: Collection[int]
    """Rows that are skipped if they cannot be read."""


@dataclass(frozen=True)
class Images:
    """Decoded images of a listing, in its order."""

    listing: Listing
    pixels: npt.NDArray[np.uint8]
    """[N, S, S, channels]"""
    digests: npt.NDArray[np.uint8]
    """SHA-256 of each image's pixels, [N, 32]."""
    entry: Path | None = None
    """The entry of the cache that holds them, if there is one."""
    marks: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    """Marks of each image of a file, see `decode_marked`, [N]."""

    @classmethod
    def empty(cls, listing: Listing, pixels: npt.NDArray[np.uint8]) -> Images:
        """Return images that are to be decoded into `pixels`."""
        digests = np.zeros((len(pixels), 32), dtype=np.uint8)
        return cls(listing, pixels, digests, marks=np.zeros(len(pixels), dtype=np.uint8))

    def missing(self) -> Rows:
        """Return the rows that are not decoded: their digest is all zeros."""
        return np.flatnonzero(~self.digests.any(axis=1))

    def content_digest(self) -> str:
        """Return the SHA-256 of IDs, classes and pixels, which is independent of their order."""
        whole = hashlib.sha256()
        rows = zip(self.listing.ids, self.listing.labels.tolist(), self.digests, strict=True)
        for name, label, digest in sorted(rows, key=lambda row: row[0]):
            whole.update(f"{name}\0{self.listing.classes[label]}\0".encode("utf-8", "replace"))
            whole.update(digest.tobytes())
        return whole.hexdigest()


def geometry(
    listing: Listing, shown: Preprocessing, channels: int | None, *, skip: bool = False
) -> Geometry:
    """Return the requested geometry, with missing values from the first image of the listing.

    Args: skip, whether the first readable image decides where the first one is unreadable.
    """
    size, resize, native = shown.image_size, shown.resize, 3
    if listing.array is not None:
        height, width, native = listing.array.shape[1:]
        size = size or min(height, width)
    size = size or first_size(listing, skip)
    if not SMALLEST <= size <= LARGEST:
        problem = f"images of {listing.spec!r} would be scaled to the first one's {size} pixels"
        raise RequestError(problem, f"give preprocessing image_size, {SMALLEST} to {LARGEST}")
    return Geometry(
        size, resize or size, channels or native, shown.interpolation, shown.squash,
        shown.exif == "apply", shown.image_size is None,
    )  # fmt: skip


def load(
    listing: Listing,
    config: Config,
    wanted: Geometry,
    progress: Progress,
    *,
    secret: Rows = NONE,
    optional: Rows = NONE,
) -> Images:
    """Decode a listing's images, or read them from the cache.

    Args:
        listing: the samples.
        config: `cache`, for sources of files; `skip_unreadable`, to skip images with a warning.
        wanted: geometry of decoded images.
        progress: receives progress and warnings.
        secret: rows of the list and of earlier ones, which the cache must not hold.
        optional: rows of earlier lists: their images may be deleted already.

    Raises:
        RequestError: an image cannot be read or has another size than a guessed one, or the images
            do not fit in memory.
        RunError: an image changed meanwhile.
    """
    if listing.array is not None:
        if wanted.guessed and min(listing.array.shape[1:3]) != wanted.size:
            raise other_size(repr(listing.spec), listing.array.shape[1:3], wanted.size)
        pixels = _fit_array(listing.array, wanted)
        return Images(listing, pixels, _digest(pixels))
    try:
        rows = range(len(listing.ids)) if config.skip_unreadable else optional.tolist()
        how = Decoding(wanted, frozenset(rows))
        return _load_files(listing, config, how, secret, progress)
    except UnreadableError as error:
        listed = np.setdiff1d(secret, optional)
        raise count_listed(listing, listed, wanted.channels, error) from error


def _load_files(
    listing: Listing, config: Config, how: Decoding, secret: Rows, progress: Progress
) -> Images:
    wanted = how.wanted
    key = cached.fingerprint(listing, wanted.key)
    found = _kept(listing, cached.entry(key), how, secret, progress) if config.cache else None
    if found is None:
        shape = wanted.shape(len(listing.files))
        found = Images.empty(listing, _in_memory(shape, listing.spec))
    bad = _decode(found, found.missing(), how, progress)
    if cached.fingerprint(listing, wanted.key) != key:
        raise RunError(
            f"{listing.spec!r} changed while it was read",
            "run again once no other process is writing to it",
        )
    which = f"{len(found.marks)} images of {listing.spec!r}"
    for note in mark_notes(found.marks, which, upright=wanted.upright):
        progress.warn(note)
    return _without(found, bad, progress) if bad else found


def _kept(
    listing: Listing, folder: Path, how: Decoding, secret: Rows, progress: Progress
) -> Images | None:
    """Return a listing's images from the cache, after adding them; None if that fails."""
    shape = how.wanted.shape(len(listing.files))
    cached.expel(folder, secret, shape, progress)
    if found := cached.read(folder, shape, progress):
        return Images(listing, *found, folder, cached.marks(folder, len(listing.ids)))
    draft = Draft.begin(folder, shape, progress)
    if draft is None:
        return None
    try:
        into = Images.empty(listing, draft.pixels)
        rows = np.setdiff1d(into.missing(), secret)
        bad = _decode(into, rows, how, progress)
        kept = None if bad else draft.keep(into.digests, progress, into.marks)
        if bad:  # the file is removed, but stays mapped while it is in use
            into.digests[bad] = 0
        return Images(listing, *kept, folder, into.marks) if kept else into
    finally:
        draft.drop()


def _without(images: Images, bad: list[int], progress: Progress) -> Images:
    """Return the images without bad rows, in memory."""
    listing = images.listing
    text = counted(len(bad), "unreadable image of {} was", "unreadable images of {} were")
    progress.warn(text.format(repr(listing.spec)) + " skipped")
    rows = np.setdiff1d(np.arange(len(listing.ids)), bad)
    if not len(rows):
        raise RequestError(f"no image of {listing.spec!r} can be read", "check the files")
    kept = _in_memory((len(rows), *images.pixels.shape[1:]), listing.spec)
    np.take(images.pixels, rows, axis=0, out=kept)
    return Images(listing.keep(rows), kept, images.digests[rows])


def _digest(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    joined = b"".join(hashlib.sha256(image.tobytes()).digest() for image in pixels)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(pixels), 32)


def _fit(image: Tensor, wanted: Geometry) -> Tensor:
    """Resize and crop: uint8 [channels, H, W] -> [channels, size, size]."""
    if image.shape[1:] != (wanted.size, wanted.size) or wanted.resize != wanted.size:
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional as transforms

        sides = [wanted.resize, wanted.resize] if wanted.squash else [wanted.resize]
        how = InterpolationMode(wanted.interpolation.replace("nearest", "nearest-exact"))
        image = transforms.resize(image, sides, interpolation=how, antialias=True)
        image = transforms.center_crop(image, [wanted.size, wanted.size])
    return image


def _fit_array(array: npt.NDArray[np.uint8], wanted: Geometry) -> npt.NDArray[np.uint8]:
    if array.shape[3] != wanted.channels:
        if array.shape[3] == 3:
            raise RequestError(
                "the images have 3 channels, the model takes 1", "give greyscale images"
            )
        array = np.repeat(array, 3, axis=3)
    if array.shape[1:3] == (wanted.size, wanted.size) and wanted.resize == wanted.size:
        return array
    fitted = _fit(torch.from_numpy(array).permute(0, 3, 1, 2), wanted)
    result: npt.NDArray[np.uint8] = fitted.permute(0, 2, 3, 1).contiguous().numpy()
    return result


def _decode(into: Images, rows: Rows, how: Decoding, progress: Progress) -> list[int]:
    """Fill pixels and digests of some rows; return the rows that cannot be read."""
    listing, wanted = into.listing, how.wanted

    def decode_rows(some: Rows) -> list[int]:
        bad = []
        for row in some.tolist():
            try:
                image, into.marks[row] = decode_marked(
                    listing.files.image(row), listing.ids[row], wanted.channels,
                    upright=wanted.upright,
                )  # fmt: skip
            except UnreadableError:
                if row not in how.may_skip:
                    raise
                bad.append(row)
                continue
            if wanted.guessed and image.shape[1:] != (wanted.size, wanted.size):
                raise other_size(f"image {listing.ids[row]!r}", image.shape[1:], wanted.size)
            fitted = _fit(image, wanted).permute(1, 2, 0).contiguous().numpy()
            into.pixels[row] = fitted
            digest = hashlib.sha256(fitted.tobytes()).digest()
            into.digests[row] = np.frombuffer(digest, dtype=np.uint8)
        return bad

    if not len(rows):
        return []
    chunks = np.array_split(rows, -(-len(rows) // CHUNK))
    progress.start(f"decode {listing.spec}", len(rows))
    bad: list[int] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for some, unread in zip(chunks, pool.map(decode_rows, chunks), strict=True):
                bad += unread
                progress.advance(len(some))
        finally:
            pool.shutdown(cancel_futures=True)
    return bad


def _in_memory(shape: tuple[int, ...], spec: str) -> npt.NDArray[np.uint8]:
    """Return an array for decoded images, or refuse them: there is not enough memory."""
    needed, free = int(np.prod(shape, dtype=np.int64)), psutil.virtual_memory().available
    if needed > free:
        raise RequestError(
            f"{spec!r} needs {needed >> 20:,} MiB decoded, {free >> 20:,} MiB of memory are free",
            "use the cache (without --no-cache, with free disk space), or choose a smaller "
            "preprocessing.image_size or fewer images",
        )
    return np.empty(shape, dtype=np.uint8)
