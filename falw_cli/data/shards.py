"""Parts of a source of several files, which their names tell: train-00000-of-00002.parquet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from falw_cli.data.listing import TRAINING, UNSEEN, Spec, choose_part

WORDS = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class FilesOfPart:
    """The files of a part; without parts, all of them."""

    files: list[Path]
    parts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def part_of_files(spec: Spec, files: list[Path]) -> FilesOfPart:
    """Return the files of the part that a SPEC names, or all files, with a warning.

    The part of a file is the first word of its path below the location that is the name of a part.

    Args:
        spec: names a file, or a folder of files.
        files: all files, in their order.

    Raises:
        RequestError: no file is of that part.
    """
    by_part: dict[str, list[Path]] = {}
    for file in files if spec.location.is_dir() else ():
        words = WORDS.findall(str(file.relative_to(spec.location)))
        part = next((word for word in words if word.lower() in (*TRAINING, *UNSEEN)), "")
        if not part and spec.part in words:
            part = spec.part
        by_part.setdefault(part, []).append(file)
    parts = tuple(name for name in by_part if name)
    if spec.part:
        return FilesOfPart(by_part[choose_part(spec, parts)], parts)
    if len(parts) < 2:
        return FilesOfPart(files, parts)
    note = f"the files are of the parts {', '.join(parts)}: all are used; one of them: "
    return FilesOfPart(files, parts, (f"{note}{spec.text}#{parts[0]}",))
