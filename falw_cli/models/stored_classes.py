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
    """Return the names of the outputs, and notes on which entry was used, or why none was.

    Args:
        given: names from the config or falw's metadata, which win: no names are returned then.
        around: entries of a training dictionary, inert values only.
        number: outputs of the model.
    """
    found = dict(_entries(around))
    usable = {key: names for key, names in found.items() if len(set(names)) == len(names) == number}
    if given is not None:
        others = [key for key, names in usable.items() if names != tuple(given)]
        return None, [
            f"class names at {key!r} of the checkpoint are not used: they are others than the "
            f"names given, or in another order: {shown(usable[key])}"
            for key in others
        ]
    if len(set(usable.values())) == 1:
        key, names = next(iter(usable.items()))
        return names, [f"class names are those at {key!r}: {shown(names)}"]
    if not found:
        return None, []
    unclear = f"they do not name each of {number} outputs once, in a known order"
    why = "they differ" if usable else unclear
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
    """Return names in the order of the outputs; () if it is not known, None if no names."""
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, set | frozenset) and value and all(isinstance(one, str) for one in value):
        return ()
    if isinstance(value, list | tuple) and value:
        texts = tuple(text for one in value if (text := _text(one)) is not None)
        return texts if len(texts) == len(value) else None
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


def _text(value: object) -> str | None:
    """Return text, also text that NumPy stored as bytes, as in h5py's files; None if no text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _is_place(value: object) -> bool:
    return isinstance(value, Integral) or (isinstance(value, str) and value.isdecimal())
