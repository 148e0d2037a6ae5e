"""Files of a source that are passed over: counted, and named in a warning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from falw_cli.data.labels import shown
from falw_cli.runtime.locks import is_lock
from falw_cli.runtime.printable import counted

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
SYSTEM = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that operating systems add."""


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
    folders: list[str] = field(default_factory=list)
    """Names of hidden folders and of a system's folders."""

    def add(self, name: str) -> None:
        """Count a file, by its name alone: a path could name a person.

        Locks are not counted: a run makes one beside its output, which may be in this folder.
        """
        if not is_lock(name):
            self.kinds[kind_of(name)] += 1

    def leaves_out(self, folder: str) -> bool:
        """Return whether a folder is passed over, and count it: it is hidden, or a system's."""
        if not folder.startswith(".") and folder not in SYSTEM:
            return False
        self.folders.append(folder)
        return True

    def notes(self) -> tuple[str, ...]:
        """Return the warnings, if anything was passed over."""
        notes = []
        if self.kinds:
            kinds = sorted(self.kinds.items(), key=lambda one: (-one[1], one[0]))
            named = shown([f"{kind} ({count})" for kind, count in kinds])
            one, more = "file of another kind was", "files of other kinds were"
            notes.append(f"{counted(self.kinds.total(), one, more)} passed over: {named}")
        if self.folders:
            named = shown(sorted(set(self.folders)))
            one, more = "hidden folder was", "hidden folders were"
            notes.append(f"{counted(len(self.folders), one, more)} passed over: {named}")
        return tuple(notes)


def kind_of(name: str) -> str:
    """Return what a warning calls a file: its suffix, or a name that systems give."""
    name = PurePosixPath(name).name
    if name.startswith("._"):
        return "._*"
    if name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        return name
    if name.startswith("."):
        return "hidden"
    return PurePosixPath(name).suffix.lower() or "no suffix"
