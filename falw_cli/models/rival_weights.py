"""Weights anywhere in a training dictionary that have about the names of those that are used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeGuard

import torch
from torch import Tensor

from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.fitting import unwrap
from falw_cli.models.weight_sets import is_average

LIVE = "current_model_state"
"""Key at which Lightning's WeightAveraging keeps the raw weights; `state_dict` is the average."""
DEEPEST = 8
"""Number of keys after which no weights are looked for: a file may nest without end."""
Key = tuple[str, ...]


def is_state(value: object) -> TypeGuard[Mapping[str, Tensor]]:
    """Return whether a value is a state dict: tensors by name."""
    return isinstance(value, Mapping) and bool(value) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items()
    )  # fmt: skip


def averaged(key: Key, whole: Mapping[str, Any]) -> bool:
    """Return whether the weights at these keys of a training dictionary are averages."""
    return any(map(is_average, key)) or (LIVE in whole and key == ("state_dict",))


def with_rivals(used: Checkpoint, whole: Mapping[str, Any], sets: Collection[Key]) -> Checkpoint:
    """Return a set of weights with a note on others that could have been meant.

    Args:
        used: the set.
        whole: the file's content.
        sets: keys of the sets among which `--weights` chooses.
    """
    named, average = unwrap(used.tensors)[1], averaged(used.key, whole)
    rivals = []
    for key, tensors in _states(whole, (), set()):
        own = averaged(key, whole)
        if key == used.key or (own != average and key in sets):
            continue
        found = unwrap({k: v for k, v in tensors.items() if k != "n_averaged"})[1]
        shared = found.keys() & named.keys()
        # Averages may lack the buffers. Others may hold more or fewer, such as a loss's weights.
        few = max(1, len(named) // 10)
        alike = own or named.keys() <= found.keys() or len(named.keys() ^ found.keys()) <= few
        if alike and not all(torch.equal(found[name], named[name]) for name in shared):
            rivals.append(repr(".".join(key)))
    if not rivals:
        return used
    where = f"at {'.'.join(used.key)!r}" if used.key else "at the top"
    note = (
        f"the weights {where} are used; those at {', '.join(rivals)} differ (to use these, save "
        "them alone)"
    )
    return replace(used, notes=(*used.notes, note))


def _states(value: Any, key: Key, seen: set[int]) -> Iterator[tuple[Key, Mapping[str, Tensor]]]:
    """Yield all state dicts in dictionaries and lists, with the keys that lead to them."""
    if is_state(value):
        yield key, value
    elif id(value) not in seen and len(key) < DEEPEST:
        seen.add(id(value))
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, one in entries:
            if isinstance(one, Mapping | list | tuple):
                yield from _states(one, (*key, str(name)), seen)
