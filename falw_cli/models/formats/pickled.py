"""torch's own files, .pt, .pth, .ckpt: read by its weights-only loader, which runs no code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint, checked, common_prefix, sha256

NAME = "torch"
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Where training dictionaries keep the weights; Lightning has the first."""
PLAIN = (str, int, float, bool, type(None))


def recognises(path: Path) -> bool:
    """By the ending."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path) -> Checkpoint:
    """Read a state dict, or a dictionary that holds one.

    Raises:
        RequestError: it holds more than weights, or none.
    """
    if not path.is_file():
        raise RequestError(f"no checkpoint {path}", "check the path")
    digest = sha256(path)
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loader raises many kinds on what it does not take
        told = _reason(error)
        raise RequestError(
            f"{path} is not loaded: {told}",
            "save the weights alone: torch.save(model.state_dict(), FILE)",
        ) from error
    key, tensors = _weights(whole)
    if not tensors:
        raise RequestError(
            f"{path} holds no state dict", f"looked for one by itself, and at {', '.join(WEIGHTS)}"
        )
    checked(path, tensors)
    prefix = common_prefix(tensors)
    bare = {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return Checkpoint(
        path, digest, bare, prefix, None, {}, kind=NAME, around=_around(whole, key), key=key
    )


def _weights(whole: object) -> tuple[str, dict[str, Tensor]]:
    """The state dict and where it was."""
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
    """What stands beside the weights and says nothing of samples: numbers, text, hyperparameters.

    An optimizer's moments and averaged weights remember what is to be forgotten: they are dropped.
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


def write(tensors: Mapping[str, Tensor], source: Checkpoint) -> bytes:
    """The same file with other weights, without what remembers the old ones."""
    named = {source.prefix + name: tensor for name, tensor in tensors.items()}
    whole = {**source.around, source.key: named} if source.key else named
    stream = io.BytesIO()
    torch.save(whole, stream)
    return stream.getvalue()
