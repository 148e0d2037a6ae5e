"""Every format of checkpoints: which one a path is of, and how it is read and written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from falw_cli.errors import RequestError
from falw_cli.models import checkpoint
from falw_cli.models.architectures import Builder
from falw_cli.models.checkpoint import Checkpoint, Metadata
from falw_cli.models.formats import folder, pickled, timm_folder, transformers_folder


class FolderFormat(Protocol):
    """A module that reads and writes folders of a library."""

    NAME: str
    PREFIX: str

    def recognises(self, path: Path) -> bool:
        """Is it such a folder, or the weights in one?"""

    def read(self, path: Path) -> Checkpoint:
        """Read it."""

    def builder(self, arch: str, said: dict[str, Any]) -> Builder:
        """The builder of an architecture of the library."""

    def write(
        self, tensors: Mapping[str, Tensor], metadata: Metadata, source: Checkpoint
    ) -> dict[str, bytes]:
        """The files of a folder with these weights."""


_FOLDERS: tuple[FolderFormat, ...] = (timm_folder, transformers_folder)
FOLDERS = {one.NAME: one for one in _FOLDERS}
"""Formats of whole folders by name: a new one is a small file, and its name here."""
KINDS = {".safetensors": "safetensors", **dict.fromkeys(pickled.SUFFIXES, pickled.NAME)}
FILES = tuple(KINDS)
"""Endings of checkpoints that are a file; without one a name is a folder's."""
LIBRARIES = {one.PREFIX: one.builder for one in _FOLDERS}


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint of any format.

    Raises:
        RequestError: it is none, or not whole, or what reads it is not installed.
    """
    place = Path(path)
    if pickled.recognises(place):
        return pickled.read(place)
    if not place.is_dir() and (found := checkpoint.read(place)).metadata:
        return _with_builder(found)
    for one in FOLDERS.values():
        if one.recognises(place):
            return one.read(place)
    if place.is_dir():
        raise RequestError(
            f"{place} is no folder of {' or '.join(FOLDERS)}", "give the checkpoint's file"
        )
    return found


def _with_builder(found: Checkpoint) -> Checkpoint:
    """A checkpoint of ours whose architecture is a library's."""
    said = found.metadata
    if said is None or said.arch_config is None:
        return found
    beside = {name: text.encode() for name, text in (said.beside or {}).items()}
    return replace(found, build=library_builder(said), beside=beside)


def library_builder(said: Metadata) -> Builder | None:
    """The builder of an architecture that a library owns; None for one of ours."""
    for prefix, builder in LIBRARIES.items():
        if said.arch.startswith(prefix):
            return builder(said.arch, said.arch_config or {})
    return None


def written(
    out: Path, tensors: Mapping[str, Tensor], metadata: Metadata | None, source: Checkpoint
) -> dict[Path, bytes]:
    """The files of a checkpoint: in the source's format, or as safetensors where `out` says so.

    Args:
        out: a file, or a folder for a source that is one.
        tensors: by the architecture's names.
        metadata: what it says of itself; a folder needs it.
        source: what it was made from.
    """
    if out.suffix == ".safetensors":
        return {out: checkpoint.to_bytes(tensors, metadata, source.prefix)}
    if out.suffix in pickled.SUFFIXES:
        return {out: pickled.write(tensors, source)}
    assert metadata is not None
    made = FOLDERS[source.kind].write(tensors, metadata, source)
    return {out / name: content for name, content in made.items()}


def check_output(out: Path, source: Checkpoint) -> None:
    """Refuse an output whose name asks for a format that the source cannot be written in.

    Raises:
        RequestError: a folder is asked for, and the source is none.
    """
    if out.suffix not in FILES and source.kind not in FOLDERS:
        raise RequestError(f"{out} names no format", f"let it end in one of {', '.join(FILES)}")


def default_out(model: Path, word: str) -> Path:
    """Beside the model, named after it."""
    if model.is_dir():
        return model.with_name(f"{model.resolve().name}.{word}")
    return model.with_name(f"{model.stem}.{word}{model.suffix}")


def digest(path: Path) -> str:
    """SHA-256 of a checkpoint: of a file's bytes, or of all files of a folder."""
    if not path.is_dir():
        return checkpoint.sha256(path)
    return folder.digest(
        {file.name: checkpoint.sha256(file) for file in path.iterdir() if file.is_file()}
    )


def digest_of(files: dict[Path, bytes]) -> str:
    """`digest` of files that are to be written."""
    contents = {path.name: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return next(iter(contents.values())) if len(contents) == 1 else folder.digest(contents)
