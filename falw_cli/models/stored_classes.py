"""Class names that a training script stored beside the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from falw_cli.data.labels import shown

KEYS = ("class_to_idx", "idx_to_class", "classes", "class_names", "CLASSES", "id2label", "label2id",
        "label_names")  # fmt: skip
"""Entries that hold class names: lists, or dictionaries from or to the position of the output."""
INSIDE = ("hyper_parameters", "meta", "dataset_meta", "model", "state_dict")
"""Entries that may hold these: Lightning's, MMEngine's, and those of the weights."""


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


def _entries(around: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    inside = {f"{key}.": around[key] for key in INSIDE if isinstance(around.get(key), Mapping)}
    for outer, entries in {"": around, **inside}.items():
        for key in KEYS:
            if (names := _names(entries.get(key))) is not None:
                yield f"{outer}{key}", names


def _names(value: object) -> tuple[str, ...] | None:
    """Return names in the order of the outputs; () if positions are missing, None if no names."""
    if isinstance(value, list | tuple) and value:
        return tuple(value) if all(isinstance(one, str) for one in value) else None
    if not isinstance(value, Mapping) or not value:
        return None
    pairs = list(value.items())
    if all(isinstance(place, Integral) for _, place in pairs):
        pairs = [(place, name) for name, place in pairs]
    places = {int(k): v for k, v in pairs if isinstance(k, Integral) or str(k).isdecimal()}
    if not all(isinstance(name, str) for name in places.values()) or not places:
        return None
    complete = sorted(places) == list(range(len(pairs)))
    return tuple(str(places[place]) for place in range(len(pairs))) if complete else ()
