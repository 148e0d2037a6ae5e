"""The difference between IDs that look the same is described in words."""

from __future__ import annotations

import pytest

from falw_cli.data.forget_list import find
from falw_cli.data.lookalike import describe_difference
from falw_cli.errors import RequestError


@pytest.mark.parametrize(
    ("listed", "there", "said"),
    [
        (
            "cafe\u0301.jpg",
            "caf\u00e9.jpg",
            "'caf\\xe9.jpg' exists, the list has 'cafe\\u0301.jpg'",
        ),
        ("\uff41/1.jpg", "a/1.jpg", "the same text in other characters"),
        (
            "c\u0430t/1.jpg",
            "cat/1.jpg",
            "'cat/1.jpg' exists with U+0061 LATIN SMALL LETTER A, the list has U+0430 "
            "CYRILLIC SMALL LETTER A",
        ),
        ("dog/1.jpg", "cat/1.jpg", ""),
    ],
)
def test_the_difference_is_named(listed: str, there: str, said: str) -> None:
    assert said in describe_difference(listed, [there, "other/1.jpg"])
    assert said or describe_difference(listed, [there]) == ""


def test_an_unknown_id_is_reported_with_the_difference() -> None:
    with pytest.raises(RequestError, match="1 of 1 forget IDs are not") as refused:
        find(["c\u0430t/1.jpg"], ["cat/1.jpg"])
    assert "CYRILLIC" in refused.value.hint
