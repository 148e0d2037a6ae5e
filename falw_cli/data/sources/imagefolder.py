"""`imagefolder:DIR`: images as DIR/CLASS/…/image.jpg; the ID is the path below DIR."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from falw_cli.data.listing import Files, Listing, Source, Spec, folder_of, inside
from falw_cli.errors import RequestError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


def _walk(folder: str, prefix: str, root: str | None) -> Iterator[str]:
    """Yield the ID of each image below `folder`; links must stay in `root`, if given."""
    with os.scandir(folder) as entries:
        for entry in entries:
            image = os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (speed)
            if entry.is_symlink() and (image or entry.is_dir()):
                _check_link(entry.path, f"{prefix}{entry.name}", root)
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/", root)
            elif image:
                yield f"{prefix}{entry.name}"


def _check_link(path: str, name: str, root: str | None) -> None:
    """Refuse a link out of the root, or to a folder that contains the link."""
    real = os.path.realpath(path)
    if os.path.realpath(os.path.dirname(path)).startswith(real):  # noqa: PTH120 (speed)
        raise RequestError(f"{name!r} links to a folder that contains it", "remove the link")
    if root is not None and not inside(Path(path), Path(root)):
        raise RequestError(
            f"{name!r} is a link that leads out of {root}",
            "keep the images below the folder, or give --allow-outside if you trust it",
        )


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the images below a folder of class folders."""
    root = folder_of(spec)
    within = None if allow_outside else str(root)
    with os.scandir(root) as entries:
        folders = [entry for entry in entries if entry.is_dir()]
    for entry in folders:
        if entry.is_symlink():
            _check_link(entry.path, entry.name, within)
    classes = tuple(sorted(entry.name for entry in folders))
    if not classes:
        raise RequestError(
            f"{spec.text!r}: no class folders in {root}", "lay it out as DIR/CLASS/image.jpg"
        )
    ids = tuple(sorted(name for c in classes for name in _walk(str(root / c), f"{c}/", within)))
    place = {name: label for label, name in enumerate(classes)}
    labels = np.fromiter((place[name.partition("/")[0]] for name in ids), np.int64, len(ids))
    return Listing(spec.text, spec.identity, ids, labels, classes, files=Files(root, ids))


source = Source(listing)
