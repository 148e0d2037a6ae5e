"""The interface of a module of `falw_cli.models.formats`: `FORMAT`, of files or folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falw_cli.models.architectures import Builder
from falw_cli.models.checkpoint import Checkpoint, Metadata, Tensors


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A format of single files."""

    suffixes: tuple[str, ...]
    """File name suffixes in lower case, such as ".pt"."""
    read: Callable[[Path], Checkpoint]
    """Return the checkpoint; raise RequestError if the file is missing, broken or unsafe."""
    write: Callable[[Tensors, Metadata | None, Checkpoint], bytes]
    """Return the file of tensors with metadata, made from the checkpoint given last."""
    recognises: Callable[[Path], bool] | None = None
    """Whether the content of an existing file is of this format, whatever its suffix. Without it,
    the suffix decides."""
    builder: Callable[[str, dict[str, Any]], Builder] | None = None
    """Return the builder of an architecture `FORMAT/NAME` with its settings (`arch_config`)."""


@dataclass(frozen=True, kw_only=True)
class FolderFormat:
    """A format of folders that a library saves."""

    recognises: Callable[[Path], bool]
    """Whether a path is such a folder, or a file in one."""
    read: Callable[[Path], Checkpoint]
    """As in `FileFormat`, for a path that is recognised."""
    write: Callable[[Tensors, Metadata, Checkpoint], dict[str, bytes]]
    """As in `FileFormat`, but return the folder's files by name."""
    builder: Callable[[str, dict[str, Any]], Builder] | None = None
    """As in `FileFormat`. An architecture `FORMAT/NAME` can be saved as such a folder."""
