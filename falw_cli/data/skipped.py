"""Files of a source that are passed over: counted, and named in a warning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from falw_cli.data.labels import shown

IMAGE_SUFFIXES = frozenset(
    f".{one}"
    for one in (
        "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "tif", "tiff", "bmp", "ppm", "pgm",
        "pbm", "pnm",
    )
)  # fmt: skip
"""Suffixes of the formats that `data/decoding.py` reads, in lower case."""
APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""First bytes of the files `._NAME` in which macOS keeps a file's attributes."""


def holds_attributes(path: Path) -> bool:
    """Return whether a file `._NAME` holds the attributes that macOS keeps beside NAME."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == APPLE_DOUBLE
    except OSError:
        return False


@dataclass
class Skipped:
    """What a source passes over."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Number of files by suffix, or by name where that says more."""

    def add(self, name: str) -> None:
        """Count a file, by its name alone: a path could name a person."""
        self.kinds[kind_of(name)] += 1

    def notes(self, what: str = "files that are no images") -> tuple[str, ...]:
        """Return the warning, if anything was passed over."""
        if not self.kinds:
            return ()
        named = shown([f"{kind} ({count})" for kind, count in self.kinds.most_common()])
        return (f"{self.kinds.total()} {what} were passed over: {named}",)


def kind_of(name: str) -> str:
    """Return what a warning calls a file: its suffix, or a name that systems give."""
    name = PurePosixPath(name).name
    if name.startswith("._"):
        return "._*"
    if name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        return name
    return PurePosixPath(name).suffix.lower() or "no suffix"
