"""Listings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.listing import Spec, choose_part
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError


def test_some_rows_of_each_class_in_the_order_of_the_listing() -> None:
    whole = open_listing("digits#train")
    first, later = whole.of_each_class(0, 3), whole.of_each_class(3, 5)
    assert np.bincount(first.labels).tolist() == [3] * 10
    assert np.bincount(later.labels).tolist() == [2] * 10
    assert not set(first.ids) & set(later.ids)
    assert [whole.ids.index(name) for name in first.ids] == sorted(map(whole.ids.index, first.ids))
    with pytest.raises(RequestError, match="no rows"):
        whole.of_each_class(10_000, 10_001)


def test_the_case_of_a_part_is_ignored_unless_two_parts_differ_by_it() -> None:
    def chosen(part: str, *parts: str, default: str = "train") -> str:
        return choose_part(Spec(f"x:a#{part}", "x", Path("a"), part, default), parts)

    assert chosen("TEST", "train", "Test") == "Test"
    assert chosen("", "Test", "Train") == "Train"
    assert chosen("", "Val", "Train", default="test") == "Val"
    assert chosen("test", "Test", "test") == "test"
    with pytest.raises(RequestError, match="has no part 'TEST'") as caught:
        chosen("TEST", "Test", "test")
    assert caught.value.hint == "choose from: #Test, #test"
