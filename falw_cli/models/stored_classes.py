"""Class names that a training script stored beside the weights."""

from __future__ import annotations

import argparse
import types
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from falw_cli.data.labels import shown

WORDS = ("class", "label", "categor")
"""Words in the keys of entries that hold class names."""
KEYS = ("names", "target_names")
"""Further such keys."""
DEEPEST = 3
"""Depth to which entries are searched: settings may lie within those of a training script."""


def stored_classes(
    given: Sequence[str] | None, around: Mapping[str, Any], number: int
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Return the names of the outputs, and notes on which entry was used or is unusable.

    Args:
        given: names from the config or falw's metadata, which win: nothing is returned then.
        around: entries of a training dictionary, inert values only.
        number: outputs of the model.
    """
    found = dict(_entries(around)) if given is None else {}
    usable = {key: names for key, names in found.items() if len(set(names)) == len(names) == number}
    if len(set(usable.values())) == 1:
        key, names = next(iter(usable.items()))
        return names, [f"class names are those at {key!r}: {shown(names)}"]
    if not found:
        return None, []
    why = "they differ" if usable else f"they do not name each of {number} outputs once"
    return None, [f"class names at {', '.join(map(repr, found))} are not used: {why}"]


def _entries(around: object, depth: int = 1) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the places of class names, and the names: lists, or dictionaries to or from positions.

    Options and objects that hold settings are searched like dictionaries.
    """
    for key, value in _items(around):
        named = key.lower() in KEYS or any(word in key.lower() for word in WORDS)
        if named and (names := _names(value)) is not None:
            yield key, names
        elif depth < DEEPEST:
            yield from ((f"{key}.{inner}", names) for inner, names in _entries(value, depth + 1))


def _items(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, argparse.Namespace | types.SimpleNamespace):
        value = vars(value)
    entries = value.items() if isinstance(value, Mapping) else ()
    return [(key, one) for key, one in entries if isinstance(key, str)]


def _names(value: object) -> tuple[str, ...] | None:
    """Return names in the order of the outputs; () if positions are missing, None if no names."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple) and value:
        return tuple(value) if all(isinstance(one, str) for one in value) else None
    if not isinstance(value, Mapping) or not value:
        return None
    pairs = list(value.items())
    to_places = all(_is_place(place) for place in value.values())
    by_places = all(_is_place(place) for place in value)
    if to_places and (not by_places or all(isinstance(one, Integral) for one in value.values())):
        pairs = [(place, name) for name, place in pairs]
    places = {int(k): v for k, v in pairs if _is_place(k)}
    if not all(isinstance(name, str) for name in places.values()) or not places:
        return None
    complete = sorted(places) == list(range(len(pairs)))
    return tuple(str(places[place]) for place in range(len(pairs))) if complete else ()


def _is_place(value: object) -> bool:
    return isinstance(value, Integral) or (isinstance(value, str) and value.isdecimal())
