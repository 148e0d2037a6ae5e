"""safetensors files, with falw's metadata if falw wrote them."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from falw_cli.config.paths import similar
from falw_cli.errors import RequestError, RunError
from falw_cli.models.checkpoint import (
    KEY,
    Checkpoint,
    Metadata,
    Tensors,
    metadata_from,
    require_finite,
    sha256,
)
from falw_cli.models.interfaces import FileFormat

HEADER = 100_000_000
"""Maximum size of a header, which the library sets too."""


def read(path: Path) -> Checkpoint:
    """Read a safetensors checkpoint.

    Raises:
        RequestError: no such file, not safetensors, truncated, or a tensor that is not finite.
        RunError: it changed while it was read.
    """
    tensors, digest, notes = read_tensors(path)
    return Checkpoint(path, digest, tensors, metadata=metadata_from(path, notes.get(KEY)))


def read_tensors(file: Path) -> tuple[dict[str, Tensor], str, dict[str, str]]:
    """Return the tensors, SHA-256 and metadata of a safetensors file.

    Raises:
        RequestError, RunError: as `read`.
    """
    hint = "give a checkpoint: .safetensors, .pt, or a folder of timm or transformers"
    if not file.is_file():
        raise RequestError(f"no checkpoint {file}", similar(file) + hint)
    try:
        before = _signature(file)
        digest = sha256(file)
        with safe_open(file, framework="pt") as archive:
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
            notes = archive.metadata() or {}
        if _signature(file) != before:
            raise RunError(
                f"{file} changed while it was read",
                "run again once no other process is writing to it",
            )
    except SafetensorError as error:
        broken = f"is not a complete safetensors file: {error}"
        cut = file.stat().st_size < 9 or recognises(file)
        what = broken if cut else "is not a checkpoint: it does not begin as safetensors does"
        raise RequestError(f"{file} {what}", hint) from error
    except OSError as error:
        raise RequestError(f"{file} cannot be read: {error.strerror or error}", hint) from error
    if not tensors:
        raise RequestError(f"{file} holds no tensors", hint)
    require_finite(file, tensors)
    return tensors, digest, notes


def _signature(file: Path) -> tuple[int, ...]:
    state = file.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def write(tensors: Tensors, metadata: Metadata | None, source: Checkpoint | None = None) -> bytes:
    """Return the file; the same bytes for the same content."""
    content = save(separate(tensors), metadata={"format": "pt"})
    if metadata is None:
        return bytes(content)
    # Other libraries refuse a file without `format`, and safetensors writes several keys in random
    # order: the second is added here.
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"][KEY] = metadata.model_dump_json(exclude_none=True)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, memoryview(content)[end:]])


def separate(tensors: Tensors) -> dict[str, Tensor]:
    """Return contiguous tensors on the CPU that share no memory, as safetensors needs them.

    A tied parameter is written under each of its names, so that other programs find all of them.
    """
    found: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        if own.numel() and own.untyped_storage().data_ptr() in taken:
            own = own.clone()
        taken.add(own.untyped_storage().data_ptr())
        found[name] = own
    return found


def recognises(path: Path) -> bool:
    """Return whether a file begins like safetensors: the header's length, and JSON."""
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < HEADER


FORMAT = FileFormat(suffixes=(".safetensors",), read=read, write=write, recognises=recognises)
