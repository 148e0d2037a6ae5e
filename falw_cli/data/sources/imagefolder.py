"""`imagefolder:DIR`: images as DIR/CLASS/…/image.jpg; the ID is the path below DIR."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from falw_cli.data.labels import alike_notes, shown
from falw_cli.data.listing import (
    TRAINING,
    UNSEEN,
    Files,
    Listing,
    Source,
    Spec,
    folder_of,
    inside,
)
from falw_cli.data.skipped import IMAGE_SUFFIXES, Skipped, holds_attributes
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted


@dataclass
class Walk:
    """A walk through the class folders.

    Attributes:
        root: links must stay in it, if given.
        skipped: files and folders that are passed over.
        below: number of folders in each class folder that holds no image beside them.
        stray: number of images outside the class folders.
    """

    root: str | None
    skipped: Skipped = field(default_factory=Skipped)
    below: dict[str, int] = field(default_factory=dict)
    stray: int = 0

    def images(self, folder: str, prefix: str) -> Iterator[str]:
        """Yield the ID of each image below a folder."""
        folders, files = [], 0
        with os.scandir(folder) as entries:
            for entry in entries:
                image = _is_image(entry)
                if entry.is_symlink() and (image or entry.is_dir()):
                    _check_link(entry.path, f"{prefix}{entry.name}", self.root)
                if entry.is_dir():
                    if not self.skipped.leaves_out(entry.name):
                        folders.append(entry.name)
                elif image:
                    files += 1
                    yield f"{prefix}{entry.name}"
                else:
                    self.skipped.add(entry.name)
        if folders and not files and prefix.count("/") == 1:
            self.below[prefix[:-1]] = len(folders)
        for name in folders:
            yield from self.images(f"{folder}/{name}", f"{prefix}{name}/")


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Return whether a file is an image by its name, and not the attributes of one."""
    if os.path.splitext(entry.name)[1].lower() not in IMAGE_SUFFIXES:  # noqa: PTH122 (speed)
        return False
    return not (entry.name.startswith("._") and holds_attributes(Path(entry.path)))


def _check_link(path: str, name: str, root: str | None) -> None:
    """Refuse a link out of the root, or to a folder that contains the link, also by other links."""
    real, link = os.path.realpath(path), Path(path)
    above = link.parents if link.is_dir() else ()
    if inside(link.parent, Path(real)) or any(os.path.realpath(one) == real for one in above):
        raise RequestError(f"{name!r} links to a folder that contains it", "remove the link")
    if root is not None and not inside(link, Path(root)):
        raise RequestError(
            f"{name!r} is a link that leads out of {root}",
            "keep the images below the folder, or give --allow-outside if you trust it",
        )


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the images below a folder of class folders."""
    root = folder_of(spec)
    walk = Walk(None if allow_outside else str(root))
    try:
        every = _class_folders(spec, root, walk)
        ids = tuple(sorted(name for c in every for name in walk.images(str(root / c), f"{c}/")))
    except OSError as error:
        where = f"{spec.text!r}: {error.filename} cannot be read"
        raise RequestError(f"{where}: {error.strerror}", "fix or remove it") from error
    filled = {name.partition("/")[0] for name in ids}
    classes = tuple(name for name in every if name in filled)
    place = {name: label for label, name in enumerate(classes)}
    labels = np.fromiter((place[name.partition("/")[0]] for name in ids), np.int64, len(ids))
    empty = tuple(name for name in every if name not in filled)
    notes = _notes(spec, walk, classes, empty)
    return Listing(
        spec.text, spec.identity, ids, labels, classes, files=Files(root, ids), notes=notes,
        empty=empty,
    )  # fmt: skip


def _class_folders(spec: Spec, root: Path, walk: Walk) -> list[str]:
    """Return the names of the class folders, sorted."""
    folders = []
    with os.scandir(root) as entries:
        for entry in entries:
            if not entry.is_dir() and _is_image(entry):
                walk.stray += 1
            elif not entry.is_dir():
                walk.skipped.add(entry.name)
            elif not walk.skipped.leaves_out(entry.name):
                folders.append(entry)
    for entry in folders:
        if entry.is_symlink():
            _check_link(entry.path, entry.name, walk.root)
    if not folders:
        images = f", but {walk.stray} images" if walk.stray else ""
        raise RequestError(
            f"{spec.text!r}: no class folders in {root}{images}",
            "lay it out as DIR/CLASS/image.jpg",
        )
    return sorted(entry.name for entry in folders)


def _notes(
    spec: Spec, walk: Walk, classes: tuple[str, ...], empty: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what was guessed, and what was passed over."""
    notes = list(walk.skipped.notes())
    if walk.stray:
        place = "outside the class folders"
        images = counted(walk.stray, f"image {place} was", f"images {place} were")
        notes.append(f"{images} passed over")
    if empty:
        one, more = (
            "folder without images is not taken for a class",
            "folders without images are not taken for classes",
        )
        notes.append(f"{counted(len(empty), one, more)}: {shown(empty)}")
    notes += alike_notes(classes)
    splits = [name for name in classes if name.casefold() in (*TRAINING, *UNSEEN)]
    if splits and (len(splits) == len(classes) or len(splits) > 1):
        notes.append(
            f"the class folders {shown(splits)} look like splits: the classes are probably one "
            f"folder deeper; give {spec.text}/{splits[0]}"
        )
    elif classes and all(name in walk.below for name in classes):
        notes.append(
            f"the class folders {shown(classes)} hold only folders, {sum(walk.below.values())} in "
            "all: if these are the classes, move them one level up, or give a CSV with the labels"
        )
    return tuple(notes)


source = Source(listing)
