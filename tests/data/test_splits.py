"""Splits: disjoint, aligned with the model's classes, and the same on every machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.data.images import Images, _digest
from falw_cli.data.listing import Listing
from falw_cli.data.splits import (
    align,
    choose,
    class_aware_order,
    copies,
    guessed_names,
    halves,
    shared,
)
from falw_cli.errors import RequestError


def make(spec: str, ids: str, seed: int = 0) -> Images:
    draws = np.random.default_rng(seed)
    pixels = draws.integers(0, 256, (len(ids), 4, 4, 1), dtype=np.uint8)
    labels = np.zeros(len(ids), dtype=np.int64)
    return Images(Listing(spec, spec, tuple(ids), labels, ("a",)), pixels, _digest(pixels))


@given(st.lists(st.text(min_size=1), unique=True))
def test_halves_depend_only_on_the_id(ids: list[str]) -> None:
    guides, judges = halves(ids)
    assert sorted([*guides, *judges]) == list(range(len(ids)))
    back = halves(ids[::-1])[0]
    assert {ids[i] for i in guides} == {ids[::-1][i] for i in back}


def test_halves_are_about_halves() -> None:
    guides, _ = halves([str(i) for i in range(10_000)])
    assert 4_700 < len(guides) < 5_300


def test_shared_samples_are_found_by_id_or_by_pixels() -> None:
    """The same IDs in another source are no shared samples."""
    assert shared(make("x", "abc", 1), make("y", "abc", 2))[0].tolist() == []
    assert shared(make("x", "abc"), make("x", "bcd", 5))[0].tolist() == [0, 1]
    rows, how = shared(make("x", "abc"), make("y", "def"))
    assert (rows.tolist(), how) == ([0, 1, 2], "the same pixels")


def test_copies_are_found_outside_the_list() -> None:
    whole = make("x", "abcdef")
    images = replace(whole, digests=whole.digests[[0, 1, 0, 4, 4, 0]])
    assert copies(images, np.array([0, 5])).tolist() == [2]
    assert copies(images, np.array([1])).tolist() == []
    assert copies(images, np.array([], dtype=np.int64)).tolist() == []


def listing(classes: tuple[str, ...], labels: list[int], numbered: bool = False) -> Listing:
    ids = tuple(map(str, range(len(labels))))
    return Listing("npz:x", "x", ids, np.array(labels), classes, numbered)


def test_names_are_looked_up_and_numbers_are_outputs() -> None:
    assert align(listing(("cat", "dog"), [0, 1]), ("dog", "cow", "cat")).tolist() == [2, 0]
    assert align(listing(("0", "1"), [0, 1], True), ("dog", "cow", "cat")).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "classes", "outputs", "said"),
    [
        ([0, 1, 2, 10], ("0", "1", "10", "2"), [0, 1, 3, 2], "class names, not as positions"),
        ([1, 2], ("1", "2", "3"), [0, 1], "1 is output 0"),
        ([3], ("01", "02", "03"), [2], "3 is output 2"),
        ([1], ("01", "2", "1"), [2], "1 is output 2"),
        ([0, 1], ("1", "2", "3"), [0, 1], "taken as positions: 0 is '1', 1 is '2'"),
        ([0, 1], ("1", "01", "0"), [2, 0], "class names, not as positions"),
        ([0, 1], ("cat", "dog"), [0, 1], "taken as positions: 0 is 'cat'"),
        ([0, 1], ("0", "1", "2"), [0, 1], None),
        ([0, 1], ("LABEL_0", "LABEL_1"), [0, 1], None),
    ],
)
def test_bare_numbers_are_names_if_the_model_has_them_all(
    labels: list[int], classes: tuple[str, ...], outputs: list[int], said: str | None
) -> None:
    data = listing(tuple(map(str, range(11))), labels, True)
    assert align(data, classes).tolist() == outputs
    notes = guessed_names(data, classes)
    assert (said in notes[0]) if said else not notes


def test_classes_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(RequestError, match="bird"):
        align(listing(("bird", "cat"), [0, 1]), ("cat", "dog"))
    with pytest.raises(RequestError, match="label 2"):
        align(listing(("0", "1", "2"), [2], True), ("cat", "dog"))


def test_a_name_of_two_outputs_is_refused() -> None:
    """ImageNet has two outputs named crane: a bird and a machine."""
    with pytest.raises(RequestError, match="2 outputs named 'crane'"):
        align(listing(("crane", "dog"), [0, 1]), ("crane", "dog", "crane"))
    assert align(listing(("dog",), [0]), ("crane", "dog", "crane")).tolist() == [1]


def test_every_block_of_a_class_aware_order_has_each_class_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [40, 20, 4])
    order = class_aware_order(labels, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(64))
    for begin in range(0, 64, 16):
        assert np.bincount(labels[order[begin : begin + 16]]).tolist() == [10, 5, 1]


@given(st.integers(1, 60), st.integers(0, 99))
def test_evaluated_samples_exclude_the_forget_set_and_keep_to_the_budget(
    budget: int, seed: int
) -> None:
    labels, forget = np.arange(100) % 3, np.arange(0, 100, 3)
    chosen = choose(labels, forget, budget, seed)
    assert len(chosen.retain) == min(budget, 66)
    assert not np.intersect1d(chosen.retain, forget).size
    assert chosen.judged.tolist() == np.setdiff1d(np.arange(100), forget).tolist()
    shares = np.bincount(labels[chosen.retain], minlength=3)
    assert abs(shares[1] - shares[2]) <= 1
    again = choose(labels, forget, budget, seed)
    assert chosen.retain.tolist() == again.retain.tolist()


def test_the_budget_depends_on_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falw_cli.data.splits.AT_LEAST", 20)
    monkeypatch.setattr("falw_cli.data.splits.JUDGED", 50)
    for size, forgotten, looked in ((100, 1, 20), (1000, 1, 20), (1000, 9, 90), (10_000, 9, 90)):
        chosen = choose(np.zeros(size, dtype=np.int64), np.arange(forgotten), None, 0)
        assert (len(chosen.retain), len(chosen.judged)) == (looked, 50)
        assert len(chosen.used()) <= forgotten + looked + 50


def test_judged_samples_do_not_depend_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falw_cli.data.splits.JUDGED", 50)
    labels, forget = np.arange(1000) % 10, np.arange(30)
    one, other = (choose(labels, forget, 40, seed) for seed in (1, 2))
    assert one.judged.tolist() == other.judged.tolist()
    assert one.retain.tolist() != other.retain.tolist()
