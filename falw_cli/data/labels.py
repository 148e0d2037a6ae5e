"""Labels of a source: which class or output each of them means, and what was guessed."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted

WHOLE = re.compile(r"-?[0-9]+")
VALUE = r"\[?(-?[0-9]+)(?:\.0*)?\]?"
SPELLED = re.compile(rf"{VALUE}|[a-z_.]*[a-z][0-9]*\({VALUE}(?:, [a-z]+=[^()]*)?\)")
"""Whole numbers as libraries print them: 3.0, [3], tensor(3), np.int64(3)."""
MISSING = frozenset({"none", "nan", "null", "<na>", "nat", "na", "n/a", "#n/a", "?", "-"})
"""Missing values as libraries, R and spreadsheets write them."""
DIGITS = re.compile(r"([0-9]+)")
MAX_DIGITS = 10
"""A class name with fewer digits can be the same as a bare number."""
SHOWN = 5
"""Class names that a warning shows."""


class Labels(NamedTuple):
    """Labels of N samples.

    Attributes:
        indices: index of each label in `classes`, int64 [N].
        classes: names of the classes.
        numbered: whether labels are bare numbers, which are the model's outputs, and not names.
        notes: what was guessed.
    """

    indices: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    numbered: bool
    notes: tuple[str, ...] = ()


def number(names: Sequence[str], where: str, lines: Sequence[int] | None = None) -> Labels:
    """Return the labels for texts: numbers if all of them are whole numbers, else names.

    Spaces and line breaks around them are no part of them.

    Args:
        names: the texts.
        where: what holds them, for messages.
        lines: their lines in a file; without these, a message counts rows.

    Raises:
        RequestError: a label is empty or has several lines, or some are numbers and others are
            missing values.
    """
    names = [name.strip() for name in names]
    refuse_missing([row for row, name in enumerate(names) if not name], len(names), where)
    if several := next((name for name in names if len(name.splitlines()) > 1), None):
        raise RequestError(
            f"{where}: the label {several[:40]!r} has several lines: each sample has one class",
            "give one label per sample",
        )
    if all(map(WHOLE.fullmatch, names)):
        return bare_numbers(integers(names, where), where)
    empty = {name for name in set(names) if name.casefold() in MISSING}
    spelled = {name: SPELLED.fullmatch(name) for name in set(names) - empty}
    if spelled and all(spelled.values()):
        missing = [row for row, name in enumerate(names) if name in empty]
        refuse_missing(missing, len(names), where, lines=lines)
        value = {name: found[1] or found[2] for name, found in spelled.items() if found}
        whole = bare_numbers(integers([value[name] for name in names], where), where)
        strange = min(name for name in spelled if not WHOLE.fullmatch(name))
        note = f"labels such as {strange!r} are read as whole numbers: {int(value[strange])}"
        return whole._replace(notes=(note,))
    classes = tuple(sorted(set(names)))
    place = {name: index for index, name in enumerate(classes)}
    index = np.array([place[name] for name in names], dtype=np.int64)
    notes = [
        f"{counted(names.count(name), 'sample has', 'samples have')} the label {name!r}, which is "
        "taken as the name of a class; a missing value is often written like this"
        for name in sorted(empty)
    ]
    notes += alike_notes(classes)
    if all(map(_is_number, spelled)):
        notes.append("the labels are no whole numbers: each value is taken as the name of a class")
    return Labels(index, classes, False, tuple(notes))


def alike_notes(classes: Sequence[str]) -> list[str]:
    """Return a note on classes whose names differ by case, spaces or Unicode form only."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_plain(name), []).append(name)
    pairs = [" and ".join(map(ascii, some)) for some in alike.values() if len(some) > 1]
    note = "names that differ by case, spaces or Unicode form only are taken as different classes"
    return [f"{note}: {shown(pairs)}"] if pairs else []


def whole_numbers(values: npt.NDArray[np.floating], where: str) -> Labels:
    """Return the labels for floating-point numbers, which must be whole.

    Raises:
        RequestError: a value is missing or has a fraction.
    """
    refuse_missing(np.flatnonzero(np.isnan(values)).tolist(), len(values), where)
    broken = values[values != np.floor(values)]
    if len(broken) or not np.isfinite(values).all():
        first = broken[0] if len(broken) else values.max()
        raise RequestError(
            f"{where}: label {first} is not a whole number", "number the classes from 0"
        )
    found = bare_numbers(values.astype(np.int64), where)
    return found._replace(notes=("labels are floating-point numbers, read as whole numbers",))


def refuse_missing(
    rows: Sequence[int], count: int, where: str, what: str = "label",
    lines: Sequence[int] | None = None,
) -> None:  # fmt: skip
    """Refuse missing labels or IDs.

    Args: rows, those without one, of `count`; what, what they lack; lines, of all rows in a file.

    Raises:
        RequestError: there are some.
    """
    if rows:
        place = f"row {rows[0]}" if lines is None else f"line {lines[rows[0]]}"
        raise RequestError(
            f"{where}: {len(rows)} of {count} samples have no {what}, the first in {place}",
            f"add the {what}s, or remove these samples from the data",
        )


def id_texts(values: Sequence[object], where: str) -> list[str]:
    """Return the values of a column of IDs as text.

    Raises:
        RequestError: an ID is missing.
    """
    names = ["" if is_missing(value) else text_of(value) for value in values]
    blank = [row for row, name in enumerate(names) if not name.strip()]
    refuse_missing(blank, len(names), where, "ID")
    return names


def is_missing(value: object) -> bool:
    """Return whether a value of a column is None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_of(value: object) -> str:
    """Return a value as text; bytes are decoded."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def integers(values: Sequence[str | int], where: str) -> npt.NDArray[np.int64]:
    """Return whole numbers, given as such or as text, as int64.

    Raises:
        RequestError: one of them is too large.
    """
    try:
        return np.array([int(value) for value in values], dtype=np.int64)
    except (OverflowError, ValueError) as error:  # ValueError: thousands of digits
        raise RequestError(
            f"{where}: a label is larger than any integer of 64 bits",
            "number the classes from 0, as the model's outputs are",
        ) from error


def bare_numbers(labels: npt.NDArray[np.int64], where: str) -> Labels:
    """Return what `number` does for integers; they must be possible outputs of a model."""
    if len(labels) and (labels.min() < 0 or labels.max() >= 100_000):
        raise RequestError(
            f"{where}: labels range from {labels.min()} to {labels.max()}",
            "number the classes from 0, as the model's outputs are",
        )
    return Labels(labels, digit_names(labels), True)


def digit_names(labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Return class names of bare numbers, "0" to the largest."""
    return tuple(str(i) for i in range(int(labels.max(initial=-1)) + 1))


def natural_order(names: Sequence[str]) -> list[str]:
    """Return names with their digits in numerical order: 2 before 10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = DIGITS.split(name)
        return [(0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p]

    return sorted(names, key=key)


def guessed_order(classes: Sequence[str]) -> str:
    """Return the warning for a model without class names: its outputs get the data's order."""
    other = natural_order(classes)
    note = f"the model names no classes: its outputs are taken as {shown(classes)}, in this order"
    if list(classes) == sorted(classes) and other != list(classes):
        note += f" (text order; natural order is {shown(other)})"
    return f"{note}; for another order give --classes FILE, a text file with one name per line"


def is_unnamed(classes: Sequence[str]) -> bool:
    """Return whether the names of outputs are positions: 0, 1 … or LABEL_0, LABEL_1 …"""
    places = [str(place) for place in range(len(classes))]
    return list(classes) in (places, [f"LABEL_{place}" for place in places])


def shown(names: Sequence[str]) -> str:
    """Return the first names, separated by commas."""
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def resolve_names(used: Sequence[str], classes: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the output of each class name that the model has, and notes on guesses.

    A name that differs only by case, surrounding spaces or Unicode form is the same class if that
    leaves no choice.

    Args:
        used: class names in the data.
        classes: class names in the order of the model's outputs.
    """
    place = {name: index for index, name in enumerate(classes)}
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_plain(name), []).append(name)
    taken = set(used) & set(place)
    found = {name: place[name] for name in taken}
    guessed: dict[str, str] = {}
    for name in sorted(set(used) - taken):
        others = alike.get(_plain(name), [])
        if len(others) == 1 and others[0] not in taken | set(guessed.values()):
            guessed[name] = others[0]
    found |= {name: place[other] for name, other in guessed.items()}
    pairs = [f"{name!r} as {other!r}" for name, other in guessed.items()]
    note = "classes are matched without regard to case, spaces and Unicode form"
    return found, [f"{note}: {shown(pairs)}"] if pairs else []


def resolve_numbers(
    used: Sequence[int], classes: Sequence[str]
) -> tuple[dict[int, int], str | None]:
    """Return the output of each bare number, and a note if that is a guess.

    Numbers are class names if the model has all of them ("01" is 1, unless there is a "1" too), and
    positions of outputs otherwise.

    Args:
        used: numbers in the data.
        classes: class names in the order of the model's outputs.
    """
    alike: dict[int, list[int]] = {}
    for index, name in enumerate(classes):
        if name.isdecimal() and len(name) < MAX_DIGITS:
            alike.setdefault(int(name), []).append(index)
    exact = {value: [i for i in found if classes[i] == str(value)] or found
             for value, found in alike.items()}  # fmt: skip
    named = {value: found[0] for value, found in exact.items() if len(found) == 1}
    if set(used) <= set(named):
        moved = [f"{value} is output {named[value]}" for value in used if named[value] != value]
        note = f"labels are taken as class names, not as positions of outputs: {shown(moved)}"
        return {value: named[value] for value in used}, note if moved else None
    pairs = [f"{value} is {classes[value]!r}" for value in used if value < len(classes)]
    note = f"labels are not the model's class names, and taken as positions: {shown(pairs)}"
    return {value: value for value in used}, None if is_unnamed(classes) else note


def _plain(name: str) -> str:
    """Return a name without what does not show: macOS writes é as two characters."""
    return unicodedata.normalize("NFC", name).strip().strip("\u200b\ufeff").casefold()


def _is_number(name: str) -> bool:
    try:
        return not math.isnan(float(name))
    except ValueError:
        return False
