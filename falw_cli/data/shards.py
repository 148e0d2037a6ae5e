"""Parts of a source of several files, which their names tell: train-00000-of-00002.parquet."""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from falw_cli.data.labels import shown
from falw_cli.data.listing import TRAINING, UNSEEN, Spec, choose_part
from falw_cli.data.skipped import Skipped
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted

WORDS = re.compile(r"[A-Za-z]+")
SHARD = re.compile(r"(.*?)([0-9]{5,})-of-([0-9]{5,})")


@dataclass(frozen=True)
class FilesOfPart:
    """The files of a part; without parts, all of them."""

    files: list[Path]
    parts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def files_of(spec: Spec, suffixes: frozenset[str], kind: str) -> FilesOfPart:
    """Return the file that a SPEC names, or the files of a part in a folder, at any depth.

    Args:
        suffixes: of the files to read, in lower case; others and hidden ones are counted in a note.
        kind: what these files are called in an error.

    Raises:
        RequestError: there is no such file, or it is of another part, or shards of the part are
            missing.
    """
    if (file := spec.location).is_file():
        if wanted := spec.part.casefold():
            own = _part_of(Path(file.parent.name, file.name), wanted)
            choose_part(spec, (own,) if own else ())
        return FilesOfPart([file])
    files, passed = _walk(spec, suffixes)
    if not files:
        hint = "; ".join(("check the path", *passed))
        raise RequestError(f"{spec.text!r}: no {kind} file at {spec.location}", hint)
    part = part_of_files(spec, files)
    check_complete(spec, part.files)
    return replace(part, notes=(*part.notes, *passed))


def _walk(spec: Spec, suffixes: frozenset[str]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files with these suffixes in the order of their paths, and notes on the others."""

    def refuse(error: OSError) -> None:
        if spec.location.exists():
            where = f"{spec.text!r}: {error.filename} cannot be read"
            raise RequestError(f"{where}: {error.strerror}", "check its permissions") from error

    files, skipped = [], Skipped()
    for folder, folders, names in os.walk(spec.location, onerror=refuse):
        folders[:] = [name for name in folders if not skipped.leaves_out(name)]
        links = sum(Path(folder, name).is_symlink() for name in folders)
        skipped.kinds.update({"linked folder": links} if links else {})
        for name in names:
            path = Path(folder, name)
            if path.suffix.lower() in suffixes and name[0] != "." and path.is_file():
                files.append(path)
            else:
                skipped.add(name)
    return sorted(files), skipped.notes()


def check_complete(spec: Spec, files: list[Path]) -> None:
    """Refuse shards NNNNN-of-NNNNN of which some are missing; they are numbered from 0 or 1.

    Raises:
        RequestError: shards are missing.
    """
    numbers: dict[tuple[Path, str, str], set[int]] = defaultdict(set)
    for file in files:
        if shard := SHARD.match(file.name):
            numbers[file.parent, shard[1], shard[3]].add(int(shard[2]))
    for (folder, prefix, total), found in numbers.items():
        count = int(total)
        begin = 0 if 0 in found or count not in found else 1
        missing = count - sum(begin <= number < begin + count for number in found)
        if missing > 0:
            first = next(number for number in itertools.count(begin) if number not in found)
            raise RequestError(
                f"{spec.text!r}: {missing} of {count} shards are missing, the first: "
                f"{folder / f'{prefix}{first:05}-of-{total}'}",
                "restore them, or name one file",
            )


def part_of_files(spec: Spec, files: list[Path]) -> FilesOfPart:
    """Return the files of the part that a SPEC names, or all files, with a warning.

    Args:
        spec: names a folder of files; the case of its part is ignored.
        files: all files, in their order.

    Raises:
        RequestError: no file is of that part.
    """
    by_part: dict[str, list[Path]] = {}
    wanted = spec.part.casefold()
    for file in files:
        by_part.setdefault(_part_of(file.relative_to(spec.location), wanted), []).append(file)
    parts = tuple(name for name in by_part if name)
    if spec.part:
        found = by_part[choose_part(spec, parts)]
        return FilesOfPart(found, parts, _other_files(by_part.get("", [])))
    if len(parts) < 2:
        return FilesOfPart(files, parts)
    note = f"the files are of the parts {', '.join(parts)}: all are used; one of them: "
    return FilesOfPart(files, parts, (f"{note}{spec.text}#{parts[0]}",))


def _part_of(path: Path, wanted: str) -> str:
    """Return the part of a file, in lower case, or "".

    It is the first word of the file's name that is the name of a part, or else of the folder that
    is nearest to the file; or else `wanted`, if that is a word of the path.
    """
    words = [[word.casefold() for word in WORDS.findall(name)] for name in reversed(path.parts)]
    every = [word for some in words for word in some]
    known = (word for word in every if word in (*TRAINING, *UNSEEN))
    return next(known, wanted if wanted in every else "")


def _other_files(files: list[Path]) -> tuple[str, ...]:
    """Return the warning for files that are of no part."""
    if not files:
        return ()
    one, more = "file whose path names no part was", "files whose paths name no part were"
    named = shown([file.name for file in files])
    return (f"{counted(len(files), one, more)} passed over: {named}",)
