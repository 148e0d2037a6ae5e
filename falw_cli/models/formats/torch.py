"""torch files, read by torch's weights-only loader, which runs no code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint, Metadata, Tensors, require_finite, sha256, unwrap
from falw_cli.models.interfaces import FileFormat

WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys of the weights in training dictionaries; the first is Lightning's."""
PLAIN = (str, int, float, bool, type(None))


def read(path: Path) -> Checkpoint:
    """Read a state dict, or a dictionary that holds one.

    Raises:
        RequestError: no such file, or it holds no weights, or more than weights.
    """
    if not path.is_file():
        raise RequestError(f"no checkpoint {path}", "check the path")
    digest = sha256(path)
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loader raises many kinds of errors
        raise RequestError(
            f"{path} cannot be loaded: {_reason(error)}",
            "save only the weights: torch.save(model.state_dict(), FILE)",
        ) from error
    key, tensors = _weights(whole)
    if not tensors:
        raise RequestError(
            f"{path} holds no state dict", f"save one, alone or at {', '.join(WEIGHTS)}"
        )
    require_finite(path, tensors)
    prefix, bare = unwrap(tensors)
    return Checkpoint(path, digest, bare, prefix, around=_around(whole, key), key=key)


def _weights(whole: object) -> tuple[str, dict[str, Tensor]]:
    """Return the key of the state dict, and the state dict."""
    if not isinstance(whole, Mapping):
        return "", {}
    for key in ("", *WEIGHTS):
        inner = whole.get(key) if key else whole
        if isinstance(inner, Mapping) and inner and all(
            isinstance(k, str) and isinstance(v, Tensor) for k, v in inner.items()
        ):  # fmt: skip
            return key, {name: tensor.detach() for name, tensor in inner.items()}
    return "", {}


def _around(whole: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the entries beside the weights that are kept: numbers, text and hyperparameters.

    An optimizer's moments and averaged weights hold traces of the forget samples and are dropped.
    """
    return {k: v for k, v in whole.items() if k != key and _plain(v)} if key else {}


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_plain(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return isinstance(value, PLAIN)


def _reason(error: Exception) -> str:
    text = str(error)
    if "Unsupported global" in text or "weights_only" in text or "Weights only" in text:
        return "it holds more than weights, which could run code"
    return text.strip().partition("\n")[0] or type(error).__name__


def write(tensors: Tensors, metadata: Metadata | None, source: Checkpoint) -> bytes:
    """Return a file with these weights and the entries kept from the source."""
    named = {source.prefix + name: tensor for name, tensor in tensors.items()}
    whole = {**source.around, source.key: named} if source.key else named
    stream = io.BytesIO()
    torch.save(whole, stream)
    return stream.getvalue()


FORMAT = FileFormat(suffixes=(".pt", ".pth", ".ckpt", ".bin"), read=read, write=write)
