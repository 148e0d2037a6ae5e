"""Listings."""

from __future__ import annotations

import numpy as np
import pytest

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
