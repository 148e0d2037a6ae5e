"""Reading and writing checkpoints in any format of `falw_cli.models.formats`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from falw_cli.config.extensions import FORMATS
from falw_cli.errors import RequestError
from falw_cli.models import folder
from falw_cli.models.architectures import library_builder
from falw_cli.models.checkpoint import Checkpoint, Metadata, Tensors, sha256
from falw_cli.models.interfaces import FileFormat, FolderFormat

F = TypeVar("F", FileFormat, FolderFormat)
DEFAULT = "safetensors"
"""The format of a file whose suffix belongs to no format."""


def _formats(of: type[F]) -> dict[str, F]:
    """Return the formats of files, or those of folders, by name."""
    every = {name: FORMATS.load(name).FORMAT for name in FORMATS}
    return {name: one for name, one in every.items() if isinstance(one, of)}


def suffixes() -> dict[str, str]:
    """Return the format's name for each suffix of a checkpoint file; a folder has none of them."""
    return {suffix: name for name, one in _formats(FileFormat).items() for suffix in one.suffixes}


def is_checkpoint(path: Path) -> bool:
    """Return whether a path has a checkpoint's suffix, or is a folder that may be a checkpoint."""
    folders = _formats(FolderFormat).values()
    known = path.suffix.lower() in suffixes() or (path / folder.CONFIG).is_file()
    return known or (path.is_dir() and any(one.recognises(path) for one in folders))


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint of any format.

    Raises:
        RequestError: it is not a checkpoint, it is broken or unsafe, or its library is missing.
    """
    place = Path(path)
    kind = suffixes().get(place.suffix.lower(), DEFAULT)
    if kind != DEFAULT:
        return _read(kind, place)
    if not place.is_dir() and (found := _read(DEFAULT, place)).metadata:
        return found
    # Bare weights may be in a library's folder, which describes them.
    folders = _formats(FolderFormat)
    for name, one in folders.items():
        if one.recognises(place):
            return _read(name, place)
    if place.is_dir():
        known = " or ".join(folders)
        raise RequestError(f"{place} is not a folder of {known}", "give a checkpoint file")
    return found


def _read(kind: str, path: Path) -> Checkpoint:
    """Read a checkpoint, and add the builder of its architecture if a library owns it."""
    loaded: FileFormat | FolderFormat = FORMATS.load(kind).FORMAT
    found = replace(loaded.read(path), kind=kind)
    said = found.metadata
    if found.build or said is None or said.arch_config is None:
        return found
    beside = {name: text.encode() for name, text in (said.beside or {}).items()}
    return replace(found, build=library_builder(said.arch, said.arch_config), beside=beside)


def written(
    out: Path, tensors: Tensors, metadata: Metadata | None, source: Checkpoint
) -> dict[Path, bytes]:
    """Return the files of a checkpoint made from `source`, with tensors by the module's names.

    The suffix of `out` names the format. A folder is in the source's format and needs metadata.
    """
    if kind := suffixes().get(out.suffix):
        return {out: _formats(FileFormat)[kind].write(tensors, metadata, source)}
    assert metadata is not None
    made = _formats(FolderFormat)[source.kind].write(tensors, metadata, source)
    return {out / name: content for name, content in made.items()}


def kind_of_output(out: Path, metadata: Metadata | None) -> str | None:
    """Return the format that a suffix names, or else the library of the architecture."""
    library = metadata.arch.partition("/")[0] if metadata else ""
    return suffixes().get(out.suffix) or (library if library in _formats(FolderFormat) else None)


def check_output(out: Path, source: Checkpoint) -> None:
    """Refuse an output whose name is a folder's if the source is a file.

    Raises:
        RequestError: the format of the output is unknown.
    """
    if out.suffix not in suffixes() and source.kind not in _formats(FolderFormat):
        known = ", ".join(suffixes())
        raise RequestError(f"{out} has no known suffix", f"use one of {known}")


def default_out(model: Path, word: str) -> Path:
    """Return an output beside the model, named after it."""
    if model.is_dir():
        return model.with_name(f"{model.resolve().name}.{word}")
    return model.with_name(f"{model.stem}.{word}{model.suffix}")


def digest(path: Path) -> str:
    """Return the SHA-256 of a checkpoint: of a file's bytes, or of all files of a folder."""
    if not path.is_dir():
        return sha256(path)
    return folder.digest({file.name: sha256(file) for file in path.iterdir() if file.is_file()})


def digest_of(files: dict[Path, bytes]) -> str:
    """Return `digest` of files before they are written."""
    contents = {path.name: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return next(iter(contents.values())) if len(contents) == 1 else folder.digest(contents)
