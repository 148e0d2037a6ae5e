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


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ('"cat/1 b.png"', "in quotes"),
        ("./cat/1 b.png", "with ./"),
        ("cat\\1 b.png", "with backslashes"),
        (".\\cat\\1 b.png", "with backslashes"),
        ("cat/1%20b.png", "URL-encoded"),
        ("cat/1 b.png  # asked on Monday", "with a comment"),
        ("/home/me/train/cat/1 b.png", "below the folder of the data"),
        ("C:\\train\\cat\\1 b.png", "below the folder of the data"),
        ("train/cat/1 b.png", "below the folder of the data"),
    ],
)
def test_another_spelling_is_named_with_the_id(listed: str, said: str) -> None:
    found = describe_difference(listed, ["cat/1 b.png", "dog/2.png"])
    assert "did you mean 'cat/1 b.png'?" in found
    assert said in found


@pytest.mark.parametrize(
    ("sign", "what"),
    [(",", "commas"), (", ", "commas"), (";", "semicolons"), ("\t", "tabs"), (" ", "spaces")],
)
def test_several_ids_on_a_line_are_named(sign: str, what: str) -> None:
    found = describe_difference(f"cat/1.png{sign}dog/2.png", ["cat/1.png", "dog/2.png"])
    assert f"with {what} between them: write one ID per line" in found


def test_the_end_of_an_id_is_named_with_the_number_of_such_ids() -> None:
    known = ["owl/1.png", "cat/1.png", "cat/2.png"]
    assert "2 IDs end in /1.png, such as 'cat/1.png'" in describe_difference("1.png", known)
    assert "did you mean 'cat/2.png'?" in describe_difference("2.png", known)


def test_an_unknown_id_is_reported_with_the_difference() -> None:
    with pytest.raises(RequestError, match="1 of 1 forget IDs are not") as refused:
        find(["c\u0430t/1.jpg"], ["cat/1.jpg"])
    assert "CYRILLIC" in refused.value.hint
