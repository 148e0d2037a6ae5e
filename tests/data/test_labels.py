"""Labels: numbers as libraries print them, missing ones, names that are alike, guessed orders."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.data.labels import (
    guessed_order,
    is_unnamed,
    natural_order,
    number,
    resolve_names,
    whole_numbers,
)
from falw_cli.errors import RequestError


@pytest.mark.parametrize(
    "spelling",
    ["{}", "{}.0", "{}.", "tensor({})", "tensor({}, device='cuda:0')", "tensor({}.)",
     "np.int64({})", "[{}]", "tensor([{}])"],
)  # fmt: skip
def test_numbers_keep_their_order_however_they_are_printed(spelling: str) -> None:
    found = number([spelling.format(i) for i in (0, 10, 2, 11)], "here")
    assert found.indices.tolist() == [0, 10, 2, 11]
    assert found.classes == tuple(map(str, range(12)))
    assert found.numbered
    assert bool(found.notes) == (spelling != "{}")


@pytest.mark.parametrize("names", [["3, 4", "5, 6"], ["tensor([3, 4])", "tensor([5, 6])"]])
def test_several_numbers_are_no_number(names: list[str]) -> None:
    assert number(names, "here").classes == tuple(names)


@pytest.mark.parametrize("missing", ["None", "nan", "NaN", "<NA>", "null"])
def test_a_missing_value_is_no_class_among_numbers(missing: str) -> None:
    with pytest.raises(RequestError, match="1 of 3 samples have no label, the first in row 1"):
        number(["0.0", missing, "2.0"], "here")
    named = number(["ant", missing, "bee"], "here")
    assert set(named.classes) == {"ant", missing, "bee"}
    assert f"1 sample has the label {missing!r}" in named.notes[0]


def test_negative_numbers_and_fractions() -> None:
    with pytest.raises(RequestError, match="range from -1 to 1"):
        number(["-1", "1"], "here")
    assert "each value is taken as the name" in number(["0.5", "1.5"], "here").notes[0]
    assert whole_numbers(np.array([0.0, 10, 2]), "here").indices.tolist() == [0, 10, 2]
    with pytest.raises(RequestError, match=r"0\.5 is not a whole number"):
        whole_numbers(np.array([0.5, 1]), "here")
    with pytest.raises(RequestError, match="1 of 2 samples have no label"):
        whole_numbers(np.array([np.nan, 1]), "here")


def test_natural_order_is_named_where_it_differs() -> None:
    names = sorted(str(i) for i in range(12))
    assert natural_order(names) == [str(i) for i in range(12)]
    assert natural_order(["c10", "c2", "C1"]) == ["C1", "c2", "c10"]
    assert "natural order is 0, 1, 2, 3, 4 …" in guessed_order(names)
    assert "--classes" in guessed_order(names)
    assert "natural" not in guessed_order(["ant", "bee"])


@pytest.mark.parametrize(
    ("used", "classes", "found", "noted"),
    [
        (["Cat", "dog"], ["cat", "dog"], {"Cat": 0, "dog": 1}, True),
        (["cat", "Cat"], ["cat", "dog"], {"cat": 0}, False),
        (["CAT"], ["cat", "Cat"], {}, False),
        (["CAT", "Cat"], ["cat"], {"CAT": 0}, True),
        ([" cat"], ["cat"], {" cat": 0}, True),
        (["cafe\u0301"], ["caf\u00e9"], {"cafe\u0301": 0}, True),
        (["cat\u200b"], ["cat"], {"cat\u200b": 0}, True),
    ],
    ids=[
        "case",
        "both are there",
        "two choices",
        "the second has none left",
        "space",
        "Unicode form",
        "no width",
    ],
)
def test_names_that_are_alike(
    used: list[str], classes: list[str], found: dict[str, int], noted: bool
) -> None:
    place, notes = resolve_names(used, classes)
    assert (place, bool(notes)) == (found, noted)


@pytest.mark.parametrize("label", ["", " ", "NA", "N/A", "#n/a", "?", "-", "None", "nan"])
def test_a_missing_label_is_an_error_among_numbers(label: str) -> None:
    with pytest.raises(RequestError, match="1 of 3 samples have no label, the first in row 1"):
        number(["0", label, "1"], "data")


def test_a_missing_label_among_names_is_an_error_if_it_is_empty_and_noted_otherwise() -> None:
    with pytest.raises(RequestError, match="have no label"):
        number(["cat", ""], "data")
    assert "taken as the name of a class" in number(["cat", "NA"], "data").notes[0]


@pytest.mark.parametrize("other", ["a ", " a", "a\n", "a\r\n", "a\u00a0"])
def test_spaces_around_a_label_make_no_class(other: str) -> None:
    found = number(["a", other, "b"], "data")
    assert (found.classes, found.indices.tolist(), found.notes) == (("a", "b"), [0, 0, 1], ())
    assert number(["1", other.replace("a", "2")], "data").indices.tolist() == [1, 2]


@pytest.mark.parametrize("label", ["1\n2", "cat\r\ndog", "a\x85b"])
def test_a_label_of_several_lines_is_refused(label: str) -> None:
    with pytest.raises(RequestError, match="several lines: each sample has one class"):
        number(["0", label], "data")


@pytest.mark.parametrize(
    ("one", "other"), [("TRUE", "True"), ("caf\u00e9", "cafe\u0301"), ("cat", "cat\u200b")]
)
def test_classes_that_look_alike_are_noted(one: str, other: str) -> None:
    found = number([one, other, "dog"], "data")
    assert len(found.classes) == 3
    (note,) = found.notes
    assert ascii(one) in note
    assert ascii(other) in note
    assert not number([one, "dog"], "data").notes


@pytest.mark.parametrize("label", ["9" * 30, "9" * 5000, f"[{'9' * 30}]"])
def test_numbers_beyond_64_bits_are_refused(label: str) -> None:
    with pytest.raises(RequestError, match="larger than any integer of 64 bits"):
        number(["0", "1", label], "data")


def test_names_of_outputs_that_say_nothing() -> None:
    assert is_unnamed(["LABEL_0", "LABEL_1"])
    assert is_unnamed(["0", "1"])
    assert not is_unnamed(["1", "0"])
    assert not is_unnamed(["LABEL_1", "LABEL_0"])
