"""Sources of image files: a folder of class folders, or a CSV that names them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from falw_cli.data.listing import Files, Listing, Spec, file_of, folder_of, number
from falw_cli.data.text import Lines
from falw_cli.errors import RequestError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


def _walk(folder: str, prefix: str, root: str | None) -> Iterator[str]:
    """ID of every image below `folder`, at any depth; links must stay in `root`, if it is given."""
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
    """Refuse a link that leads out of the root, or back to a folder that it lies in."""
    real = os.path.realpath(path)
    if os.path.realpath(os.path.dirname(path)).startswith(real):  # noqa: PTH120 (speed)
        raise RequestError(f"{name!r} is a link to a folder around it", "remove the link")
    if root is not None and not _inside(Path(path), Path(root)):
        raise RequestError(
            f"{name!r} is a link that leads out of {root}",
            "keep the images below the folder, or give --allow-outside if you trust it",
        )


def imagefolder(spec: Spec, allow_outside: bool) -> Listing:
    """DIR/CLASS/…/image; the ID is the path below DIR."""
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


def csv_file(spec: Spec, allow_outside: bool) -> Listing:
    """Columns path,label and perhaps id and split; paths are meant from the CSV's folder."""
    file = file_of(spec)
    try:
        with file.open("rb") as stream:
            reader = csv.DictReader(Lines(stream, str(file)), strict=True)
            columns = reader.fieldnames or []
            if not {"path", "label"} <= set(columns):
                raise RequestError(
                    f"{file} line 1: columns are {', '.join(columns) or 'missing'}",
                    "a CSV source needs the columns path,label and may have id",
                )
            if spec.part and "split" not in columns:
                raise RequestError(f"{file} has no column split", f"leave out #{spec.part}")
            rows = [
                _csv_row(file, reader.line_num, row, allow_outside)
                for row in reader
                if any(row.values()) and (not spec.part or row.get("split") == spec.part)
            ]
    except csv.Error as error:
        raise RequestError(f"{file}: not a CSV: {error}", "save it again as CSV") from error
    rows.sort(key=lambda row: row[0])
    labels, classes, numbered = number([row[2] for row in rows], str(file))
    ids = tuple(row[0] for row in rows)
    files = Files(file.parent, tuple(row[1] for row in rows))
    return Listing(spec.text, spec.identity, ids, labels, classes, numbered, files)


def _csv_row(
    file: Path, line: int, row: dict[str, Any], allow_outside: bool
) -> tuple[str, str, str]:
    path, label = row.get("path"), row.get("label")
    if not path or not label or "\0" in path:
        raise RequestError(f"{file} line {line}: path or label is missing", "mend that line")
    if not allow_outside and not _inside(file.parent / path, file.parent):
        raise RequestError(
            f"{file} line {line}: {path!r} lies outside the CSV's folder",
            "keep the images below the CSV, or give --allow-outside if you trust it",
        )
    return str(row.get("id") or path), str(path), str(label).strip()


def _inside(path: Path, root: Path) -> bool:
    real = os.path.realpath(path)
    return os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root)
