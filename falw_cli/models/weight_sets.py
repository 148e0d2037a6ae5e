"""Raw and averaged weights (EMA, SWA) in one file: which is which, and which is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from falw_cli.errors import RequestError

Which = Literal["ema", "raw"]
"""Averaged weights, or those of the last step."""
WORDS = frozenset({
    "ema", "swa", "avg", "average", "averaged", "averages", "averaging", "polyak", "shadow",
})  # fmt: skip
"""Words in the name of an entry or a module that holds averaged weights."""


def is_average(name: str) -> bool:
    """Return whether an entry's or a tensor's name says that it holds averaged weights."""
    words = _words(name)
    # `online` as in ema_pytorch; `exp_avg` is a moment of Adam.
    return any(one in WORDS for one in words) and not {"online", "exp"} & {*words}


def without_average(name: str) -> list[str]:
    """Return the words of a name that do not say that it holds averaged weights."""
    return [word for word in _words(name) if word not in WORDS]


def _words(name: str) -> list[str]:
    return [one.lower() for one in re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", name) if one]


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return whether two sets of tensors are equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def pick(
    path: Path, wanted: Which | None, known: Mapping[str, str], *, equal: bool = False
) -> Which:
    """Return which of the weights to use.

    Args:
        path: the file.
        wanted: the user's choice.
        known: the entry of the file for each of "raw" and "ema" that it holds.
        equal: whether both hold the same values, so that nothing needs to be chosen.

    Raises:
        RequestError: both are there and none was chosen, or the chosen one is not there.
    """
    if wanted and wanted not in known:
        other = next(iter(known))
        raise RequestError(
            f"{path} holds no {'averaged (EMA)' if wanted == 'ema' else 'raw'} state dict where "
            f"falw looks for one, only {known[other]!r}",
            f"leave out --weights, or give --weights {other}",
        )
    if wanted:
        return wanted
    if len(known) == 2 and not equal:
        raise RequestError(
            f"{path} holds two sets of weights that differ: {known['raw']!r} and the averaged "
            f"(EMA) {known['ema']!r}",
            "choose those that you deploy: --weights ema or --weights raw",
        )
    return "raw" if "raw" in known else "ema"


def extraction(path: Path, kind: str, key: tuple[str, ...], prefix: str) -> str:
    """Return the command that saves one state dict, or its names below a prefix, alone.

    Args: kind, the file's format; key, the keys that lead to its weights.
    """
    below = (
        "w"
        if not prefix
        else f"{{k[{len(prefix)}:]: v for k, v in w.items() if k.startswith('{prefix}')}}"
    )
    if kind == "safetensors":
        load, save, end = f"load_file('{path}')", "save_file", ".safetensors"
        start = "from safetensors.torch import load_file, save_file"
    else:
        inner = "".join(f"[{one!r}]" for one in key)
        load, save, end = f"torch.load('{path}', weights_only=True){inner}", "torch.save", ".pt"
        start = "import torch"
    return f"python -c \"{start}; w = {load}; {save}({below}, 'weights{end}')\""
