"""Splits: disjoint, aligned with the model's classes, the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.data.images import Images, _digest
from falw_cli.data.listing import Listing
from falw_cli.data.splits import align, check_disjoint, halves
from falw_cli.errors import RequestError


def make(spec: str, ids: str, seed: int = 0) -> Images:
    draws = np.random.default_rng(seed)
    pixels = draws.integers(0, 256, (len(ids), 4, 4, 1), dtype=np.uint8)
    labels = np.zeros(len(ids), dtype=np.int64)
    return Images(Listing(spec, spec, tuple(ids), labels, ("a",)), pixels, _digest(pixels))


@given(st.lists(st.text(min_size=1), unique=True))
def test_halves_depend_on_the_id_alone(ids: list[str]) -> None:
    guides, judges = halves(ids)
    assert sorted([*guides, *judges]) == list(range(len(ids)))
    back = halves(ids[::-1])[0]
    assert {ids[i] for i in guides} == {ids[::-1][i] for i in back}


def test_halves_are_about_halves() -> None:
    guides, _ = halves([str(i) for i in range(10_000)])
    assert 4_700 < len(guides) < 5_300


def test_the_same_ids_of_another_source_are_fine() -> None:
    check_disjoint(make("x", "abc", 1), make("y", "abc", 2), ("training data", "test data"))


def test_shared_ids_and_shared_pixels_are_refused() -> None:
    with pytest.raises(RequestError, match=r"2 samples.*by ID"):
        check_disjoint(make("x", "abc"), make("x", "bcd", 5), ("training data", "test data"))
    with pytest.raises(RequestError, match=r"3 samples.*same pixels"):
        check_disjoint(make("x", "abc"), make("y", "def"), ("training data", "test data"))


def listing(classes: tuple[str, ...], labels: list[int], numbered: bool = False) -> Listing:
    ids = tuple(map(str, range(len(labels))))
    return Listing("npz:x", "x", ids, np.array(labels), classes, numbered)


def test_names_are_looked_up_and_numbers_are_outputs() -> None:
    assert align(listing(("cat", "dog"), [0, 1]), ("dog", "cow", "cat")).tolist() == [2, 0]
    assert align(listing(("0", "1"), [0, 1], True), ("dog", "cow", "cat")).tolist() == [0, 1]


def test_classes_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(RequestError, match="bird"):
        align(listing(("bird", "cat"), [0, 1]), ("cat", "dog"))
    with pytest.raises(RequestError, match="label 2"):
        align(listing(("0", "1", "2"), [2], True), ("cat", "dog"))
