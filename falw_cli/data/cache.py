"""The cache of decoded images in the user's cache folder, mapped into memory.

The key of an entry covers paths, sizes and modification times, so a second run neither decodes nor
copies. Images are decoded directly into the file, so a set may be larger than memory. A row without
a digest is not in the cache: images to forget are never kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import platformdirs

from falw_cli.data.listing import Listing
from falw_cli.runtime.progress import Progress

Bytes = npt.NDArray[np.uint8]
DIGEST = hashlib.sha256().digest_size
COPIED = 4096
"""Number of rows to copy at a time."""
BLOCK = 1 << 24
"""Bytes to write at a time."""
KEPT = 30 * 86_400
"""Seconds that an unused entry, or the remains of a dead run, are kept."""


def fingerprint(listing: Listing, geometry: str) -> str:
    """Return a hash of the current state of the files and of their geometry."""
    key = hashlib.sha256(f"{version('pillow')} {geometry} {listing.identity}".encode())
    for name, mark in zip(listing.ids, listing.files.marks(), strict=True):
        line = f"{name}\0{mark}\n"
        key.update(line.encode("utf-8", "surrogateescape"))
    return key.hexdigest()


def entry(key: str) -> Path:
    """Return the folder of the entry with this fingerprint."""
    return platformdirs.user_cache_path("falw") / "images" / key


def read(folder: Path, shape: tuple[int, ...], progress: Progress) -> tuple[Bytes, Bytes] | None:
    """Return pixels of a shape and digests of an entry, or None if there is none.

    The pixels are mapped copy-on-write: changes stay in this process's memory. A damaged entry is
    removed, with a warning.
    """
    if not folder.is_dir():
        return None
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="c", allow_pickle=False)
        digests = np.load(folder / "digests.npy", allow_pickle=False)
        found = (pixels.shape, pixels.dtype, digests.shape, digests.dtype)
        if found != (shape, np.uint8, (len(pixels), DIGEST), np.uint8):
            raise ValueError("an array has another shape or type")
    except Exception:  # numpy's header parser raises many types
        progress.warn(f"{folder} is damaged: its images are decoded again")
        shutil.rmtree(folder, ignore_errors=True)
        return None
    with suppress(OSError):  # the cache may be shared and read-only
        os.utime(folder)
    return pixels, digests


def marks(folder: Path, count: int) -> Bytes:
    """Return the marks of `count` images of an entry, see `decode_marked`, uint8 [N]."""
    with suppress(Exception):  # as in `read`; an entry of an older falw has none
        found: Bytes = np.load(folder / "turned.npy", allow_pickle=False).astype(np.uint8)
        if found.shape == (count,):
            return found
    return np.zeros(count, dtype=np.uint8)


def expel(
    folder: Path, rows: npt.NDArray[np.int64], shape: tuple[int, ...], progress: Progress
) -> None:
    """Remove rows from an entry; runs that have it mapped keep their data."""
    found = read(folder, shape, progress) if len(rows) else None
    if found is None or not found[1][rows].any():
        return
    pixels, digests = found
    flags = marks(folder, len(digests))
    digests[rows] = flags[rows] = 0
    draft, replaced = Draft.begin(folder, shape, progress), False
    try:
        if draft:
            kept = np.flatnonzero(digests.any(axis=1))
            for some in np.array_split(kept, 1 + len(kept) // COPIED):
                draft.pixels[some] = pixels[some]
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="draft-") as old:
            folder.rename(Path(old) / "entry")
        if draft:
            draft.keep(digests, progress, flags)
    except FileNotFoundError:
        replaced = True  # another run removes images from the entry too
    except OSError as error:
        progress.warn(f"the cache holds images to forget, and cannot be changed ({error})")
    finally:
        if draft:
            draft.drop()
    if replaced:
        expel(folder, rows, shape, progress)


@dataclass(frozen=True)
class Draft:
    """An unfinished entry with a unique name, so that parallel runs do not collide."""

    draft: Path
    folder: Path
    pixels: Bytes
    """Mapped from the draft's file, to be filled."""

    @classmethod
    def begin(cls, folder: Path, shape: tuple[int, ...], progress: Progress) -> Draft | None:
        """Return a draft for uint8 pixels of a shape; None, with a warning, if that fails.

        The disk space is allocated at once: a disk that is full later would kill the process.
        """
        draft = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _clean(folder.parent)
            draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
            file = draft / "pixels.npy"
            pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
            file.chmod(0o600)
            with file.open("r+b") as stream:
                _allocate(stream, file.stat().st_size, pixels.offset)
        except OSError as error:
            progress.warn(f"the cache cannot be written ({error.strerror}); images are not cached")
            if draft:
                shutil.rmtree(draft, ignore_errors=True)
            return None
        return cls(draft, folder, pixels)

    def keep(
        self, digests: Bytes, progress: Progress, flags: Bytes | None = None
    ) -> tuple[Bytes, Bytes] | None:
        """Make the draft the entry, and return it; None, with a warning, if that fails.

        If another run has already made the same entry, that one is returned.
        """
        try:
            self.pixels.flush()  # type: ignore[attr-defined]
            np.save(self.draft / "digests.npy", digests)
            if flags is not None and flags.any():
                np.save(self.draft / "turned.npy", flags)
            self.draft.rename(self.folder)
        except OSError as error:
            if not self.folder.is_dir():
                progress.warn(f"the cache cannot be written ({error.strerror})")
        return read(self.folder, self.pixels.shape, progress)

    def drop(self) -> None:
        """Remove the draft."""
        shutil.rmtree(self.draft, ignore_errors=True)


def _allocate(stream: BinaryIO, size: int, offset: int) -> None:
    """Allocate a file's disk space; zeros from an offset on do that where no call does."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)
        return
    stream.seek(offset)
    for start in range(offset, size, BLOCK):
        stream.write(bytes(min(BLOCK, size - start)))


def _clean(images: Path) -> None:
    """Remove entries that have not been used for a long time."""
    for one in images.iterdir():
        with suppress(FileNotFoundError):  # another run has removed it
            if time.time() - one.stat().st_mtime > KEPT:
                shutil.rmtree(one, ignore_errors=True)
