"""The source digits."""

from __future__ import annotations

import pytest

from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError


def test_it_has_two_disjoint_parts() -> None:
    train, test = open_listing("digits"), open_listing("digits", "test")
    assert (len(train.ids), len(test.ids)) == (1198, 599)
    assert not set(train.ids) & set(test.ids)
    assert open_listing("digits#test").ids == test.ids
    assert open_listing("digits#train", "test").ids == train.ids


@pytest.mark.parametrize("part", ["val", "tests", "train#x", ""])
def test_an_unknown_part_does_not_become_the_default(part: str) -> None:
    with pytest.raises(RequestError, match=f"has no part '{part}'") as caught:
        open_listing(f"digits#{part}", "test")
    assert caught.value.hint == "choose from: #train, #test"
