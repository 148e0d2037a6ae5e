"""Forget lists: read in every format, matched with the data, drawn with a long tail."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.data.forget_list import draw, find, read, tail_sizes
from falw_cli.errors import RequestError


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", b"a\nb\n"),
        ("ids.txt", b"\xef\xbb\xbf# note\r\n\r\na\r\nb"),
        ("ids.csv", b"id,why\na,x\nb,y\n"),
        ("ids.txt", b"a\nb\na\n"),
    ],
    ids=["plain", "BOM, CRLF, notes", "csv", "duplicate"],
)
def test_formats(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    found = read(str(file))
    assert found.ids == ("a", "b")
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.duplicates == content.count(b"\na\n") * (name == "ids.txt" and b"b\na" in content)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", b"\n# nothing\n"), ("a.txt", b"a\n\xff\n"), ("a.csv", b"name\nx\n")],
    ids=["empty", "not UTF-8", "no column"],
)
def test_invalid_lists_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError):
        read(str(tmp_path / name))


def test_the_order_of_a_list_has_no_effect() -> None:
    assert find(["c", "a"], "abcd").tolist() == find(["a", "c"], "abcd").tolist() == [0, 2]


def test_unknown_ids_are_counted_and_the_first_five_named() -> None:
    with pytest.raises(RequestError) as caught:
        find([f"x{i}" for i in range(7)], ["a", "x00"])
    assert "7 of 7" in str(caught.value)
    assert "x4" in str(caught.value)
    assert "x5" not in str(caught.value)
    assert "x00" in caught.value.hint


def test_power_law_by_hand() -> None:
    """With gamma 1, ranks 1, 2, 3 have shares 6 : 3 : 2; of 22 these are 12, 6 and 4."""
    sizes = tail_sizes(np.array([100, 100, 100]), 22, 1.0, seed=0)
    assert sorted(sizes.tolist(), reverse=True) == [12, 6, 4]


def test_excess_of_a_small_class_is_redistributed() -> None:
    """The head class has only 5 of its 12; the other 17 are split 3 : 2, which is 10.2 and 6.8."""
    free = tail_sizes(np.array([100, 100, 100]), 22, 1.0, seed=0)
    available = np.where(free == 12, 5, 100)
    assert sorted(tail_sizes(available, 22, 1.0, seed=0).tolist()) == [5, 7, 10]


available = st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(sum)


@given(available, st.floats(0, 3), st.floats(0.01, 1), st.integers(0, 5))
def test_sizes_sum_exactly_and_fit(have: list[int], gamma: float, ratio: float, seed: int) -> None:
    cap = np.array(have)
    total = max(1, int(ratio * cap.sum()))
    sizes = tail_sizes(cap, total, gamma, seed)
    assert sizes.sum() == total
    assert (sizes >= 0).all()
    assert (sizes <= cap).all()
    if total >= (cap > 0).sum():
        assert (sizes[cap > 0] >= 1).all()


@given(st.integers(1, 40), st.integers(2, 8))
def test_gamma_zero_is_balanced(total: int, number: int) -> None:
    sizes = tail_sizes(np.full(number, 50), total, 0.0, seed=1)
    assert sizes.max() - sizes.min() <= 1


def test_draw_takes_the_sizes_and_repeats() -> None:
    labels = np.arange(60) % 3
    rows = draw(labels, np.array([5, 0, 2]), seed=4)
    assert np.bincount(labels[rows], minlength=3).tolist() == [5, 0, 2]
    assert rows.tolist() == draw(labels, np.array([5, 0, 2]), seed=4).tolist()
    assert rows.tolist() != draw(labels, np.array([5, 0, 2]), seed=5).tolist()
