"""Images of a listing, decoded once: uint8 [N, S, S, channels], with a digest of each.

Decoded folders are kept in the user's cache folder, keyed by paths, sizes and times of change, and
mapped into memory from there, so that a second run neither decodes nor copies.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from torch import Tensor

from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError
from falw_cli.progress import Progress

CHUNK = 256
"""Images a thread decodes between two steps of the progress bar."""


@dataclass(frozen=True)
class Geometry:
    """What every image of a run becomes: shorter side `resize`, centre crop `size`, `channels`."""

    size: int
    resize: int
    channels: int


@dataclass(frozen=True)
class Images:
    """Decoded images of a listing, in its order."""

    listing: Listing
    pixels: npt.NDArray[np.uint8]
    """[N, S, S, channels]"""
    digests: npt.NDArray[np.uint8]
    """SHA-256 of each image's pixels, [N, 32]."""

    def content_digest(self) -> str:
        """SHA-256 over IDs, classes and pixels, whatever the order of the listing."""
        whole = hashlib.sha256()
        rows = zip(self.listing.ids, self.listing.labels.tolist(), self.digests, strict=True)
        for name, label, digest in sorted(rows, key=lambda row: row[0]):
            whole.update(f"{name}\0{self.listing.classes[label]}\0".encode("utf-8", "replace"))
            whole.update(digest.tobytes())
        return whole.hexdigest()


def geometry(
    listing: Listing, size: int | None, resize: int | None, channels: int | None
) -> Geometry:
    """The geometry asked for, and what is not asked for from the first image of the listing."""
    if listing.array is not None:
        height, width, native = listing.array.shape[1:]
    else:
        shape = _decode(listing.files[0], listing.ids[0], "UNCHANGED").shape
        height, width, native = shape[1], shape[2], 3
    size = size or min(height, width)
    return Geometry(size, resize or size, channels or native)


def load(
    listing: Listing,
    wanted: Geometry,
    progress: Progress,
    *,
    cache: bool = True,
    skip_unreadable: bool = False,
    strict_size: bool = False,
) -> Images:
    """Decode a listing's images, or find them in the cache.

    Args:
        listing: the samples.
        wanted: what every image becomes.
        progress: where the bar goes.
        cache: use the user's cache folder for sources of files.
        skip_unreadable: leave out images that cannot be read, with a warning, instead of failing.
        strict_size: fail on an image of another size than `wanted`: nobody chose a size.

    Raises:
        RequestError: an image cannot be read, or the images do not fit in memory.
    """
    if listing.array is not None:
        pixels = _fit_array(listing.array, wanted)
        return Images(listing, pixels, _digest(pixels))
    folder = _cache_folder(listing, wanted) if cache else None
    if folder and (found := _from_cache(listing, folder)):
        return found
    pixels, bad = _decode_all(listing, wanted, progress, skip_unreadable, strict_size)
    if bad:
        progress.warn(f"{len(bad)} unreadable images of {listing.spec!r} were left out")
        rows = np.setdiff1d(np.arange(len(listing.ids)), bad)
        listing, pixels, folder = listing.keep(rows), pixels[rows], None
        if not len(rows):
            raise RequestError(f"no image of {listing.spec!r} can be read", "check the files")
    images = Images(listing, pixels, _digest(pixels))
    if folder:
        _to_cache(images, folder, progress)
    return images


def _digest(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    joined = b"".join(hashlib.sha256(image.tobytes()).digest() for image in pixels)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(pixels), 32)


def _decode(file: Path, name: str, mode: str) -> Tensor:
    from torchvision.io import decode_image

    try:
        image: Tensor = decode_image(str(file), mode=mode)
    except RuntimeError as error:
        # torchvision puts a function and a place in its source before the reason.
        reason = re.sub(r"^\w+, \S+:\d+, ", "", str(error).partition("\n")[0]).partition(". ")[0]
        raise RequestError(
            f"image {name!r} cannot be read: {reason}",
            "mend or remove it, or leave such images out with --skip-unreadable",
        ) from error
    return image


def _fit(image: Tensor, wanted: Geometry) -> Tensor:
    """[channels, H, W] uint8 -> the same at [channels, size, size]."""
    if image.shape[1:] != (wanted.size, wanted.size) or wanted.resize != wanted.size:
        from torchvision.transforms.v2 import functional as transforms

        image = transforms.resize(image, [wanted.resize], antialias=True)
        image = transforms.center_crop(image, [wanted.size, wanted.size])
    return image


def _fit_array(array: npt.NDArray[np.uint8], wanted: Geometry) -> npt.NDArray[np.uint8]:
    if array.shape[3] != wanted.channels:
        if array.shape[3] == 3:
            raise RequestError(
                "the images have 3 channels, the model takes 1", "give the images in grey"
            )
        array = np.repeat(array, 3, axis=3)
    if array.shape[1:3] == (wanted.size, wanted.size) and wanted.resize == wanted.size:
        return array
    fitted = _fit(torch.from_numpy(array).permute(0, 3, 1, 2), wanted)
    result: npt.NDArray[np.uint8] = fitted.permute(0, 2, 3, 1).contiguous().numpy()
    return result


def _decode_all(
    listing: Listing, wanted: Geometry, progress: Progress, skip: bool, strict: bool
) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Pixels of all images, and the rows of those that could not be read."""
    count = len(listing.files)
    shape = (count, wanted.size, wanted.size, wanted.channels)
    _check_memory(shape, listing.spec)
    pixels = np.empty(shape, dtype=np.uint8)
    mode = "GRAY" if wanted.channels == 1 else "RGB"

    def decode_rows(rows: range) -> list[int]:
        bad = []
        for row in rows:
            try:
                image = _decode(listing.files[row], listing.ids[row], mode)
            except RequestError:
                if not skip:
                    raise
                bad.append(row)
                continue
            if strict and image.shape[1:] != (wanted.size, wanted.size):
                raise RequestError(
                    f"image {listing.ids[row]!r} is {image.shape[2]}x{image.shape[1]} pixels, "
                    f"the first one {wanted.size}x{wanted.size}",
                    "say preprocessing: {image_size: N} in falw.yaml",
                )
            pixels[row] = _fit(image, wanted).permute(1, 2, 0).numpy()
        return bad

    chunks = [range(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    progress.start(f"decode {listing.spec}", count)
    bad: list[int] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for rows, missing in zip(chunks, pool.map(decode_rows, chunks), strict=True):
                bad += missing
                progress.advance(len(rows))
        finally:
            pool.shutdown(cancel_futures=True)
    return pixels, bad


def _check_memory(shape: tuple[int, int, int, int], spec: str) -> None:
    needed = int(np.prod(shape, dtype=np.int64))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise RequestError(
            f"{spec!r} takes {needed >> 20} MiB decoded, more than this machine's memory",
            "choose a smaller preprocessing.image_size or fewer images",
        )


def _cache_folder(listing: Listing, wanted: Geometry) -> Path:
    """The cache entry that these very files would have: paths, sizes, times of change, geometry."""
    key = hashlib.sha256(f"{version('torchvision')} {wanted} {listing.identity}".encode())
    for name, file in zip(listing.ids, listing.files, strict=True):
        try:
            state = file.stat()
        except OSError as error:
            raise RequestError(
                f"image {name!r} cannot be read: {error.strerror}",
                "mend or remove it, or leave such images out with --skip-unreadable and --no-cache",
            ) from error
        line = f"{name}\0{file}\0{state.st_size}\0{state.st_mtime_ns}\n"
        key.update(line.encode("utf-8", "surrogateescape"))
    return platformdirs.user_cache_path("falw") / "images" / key.hexdigest()


def _from_cache(listing: Listing, folder: Path) -> Images | None:
    if not folder.is_dir():
        return None
    pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    digests = np.load(folder / "digests.npy", allow_pickle=False)
    return Images(listing, pixels, digests)


def _to_cache(images: Images, folder: Path, progress: Progress) -> None:
    """Write an entry under another name and rename it: two runs at once do not meet."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
    except OSError as error:
        progress.warn(f"the cache cannot be written ({error.strerror}); images were decoded anew")
        return
    try:
        np.save(draft / "pixels.npy", images.pixels)
        np.save(draft / "digests.npy", images.digests)
        draft.rename(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.is_dir():  # otherwise another run was quicker with the same entry
            progress.warn(f"the cache cannot be written ({error.strerror})")
