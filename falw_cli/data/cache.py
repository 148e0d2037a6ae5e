"""Decoded images in the user's cache folder: mapped into memory, never read as a whole.

An entry is keyed by paths, sizes and times of change, so that a second run neither decodes nor
copies; decoded images go straight into its file, so that a set may be larger than memory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError
from falw_cli.progress import Progress

Bytes = npt.NDArray[np.uint8]


def entry(listing: Listing, geometry: str) -> Path:
    """Where these very files are kept, decoded to this geometry.

    Raises:
        RequestError: a file is not there.
    """
    key = hashlib.sha256(f"{version('torchvision')} {geometry} {listing.identity}".encode())
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


def read(folder: Path) -> tuple[Bytes, Bytes] | None:
    """Pixels, mapped, and digests of an entry; None where there is none."""
    if not folder.is_dir():
        return None
    pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    return pixels, np.load(folder / "digests.npy", allow_pickle=False)


@dataclass(frozen=True)
class Draft:
    """An entry in the making, under a name of its own: two runs at once do not meet."""

    draft: Path
    folder: Path
    pixels: Bytes
    """Mapped from the draft's file, to be filled."""

    @classmethod
    def begin(cls, folder: Path, shape: tuple[int, ...], progress: Progress) -> Draft | None:
        """A draft with room for uint8 pixels of a shape; None, with a warning, where none can be.

        The room is taken at once: a disk that filled up later would end the process.
        """
        draft = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
            file = draft / "pixels.npy"
            pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
            with file.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
        except OSError as error:
            progress.warn(f"the cache cannot be written ({error.strerror}); images are not kept")
            if draft:
                shutil.rmtree(draft, ignore_errors=True)
            return None
        return cls(draft, folder, pixels)

    def keep(self, digests: Bytes, progress: Progress) -> tuple[Bytes, Bytes] | None:
        """Make the draft the entry, and read it; None, with a warning, where that fails.

        Another run that was quicker with the same entry wins.
        """
        try:
            self.pixels.flush()  # type: ignore[attr-defined]
            np.save(self.draft / "digests.npy", digests)
            self.draft.rename(self.folder)
        except OSError as error:
            if not self.folder.is_dir():
                progress.warn(f"the cache cannot be written ({error.strerror})")
        return read(self.folder)

    def drop(self) -> None:
        """Remove what is left of the draft."""
        shutil.rmtree(self.draft, ignore_errors=True)
