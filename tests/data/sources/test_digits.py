"""The source digits."""

from __future__ import annotations

from falw_cli.data.opening import open_listing


def test_it_has_two_disjoint_parts() -> None:
    train, test = open_listing("digits"), open_listing("digits", "test")
    assert (len(train.ids), len(test.ids)) == (1198, 599)
    assert not set(train.ids) & set(test.ids)
    assert open_listing("digits#test").ids == test.ids
    assert open_listing("digits#train", "test").ids == train.ids
