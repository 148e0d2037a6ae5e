"""IDs that look alike but differ: other Unicode forms, letters of other alphabets."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from falw_cli.errors import nearest


def describe_difference(name: str, known: Sequence[str]) -> str:
    """Return how an unknown ID differs from a known one that looks the same, or an empty string."""
    plain = _form(name)
    same = next((one for one in known if _form(one) == plain), None)
    if same is not None:
        return f"{same!a} exists, the list has {name!a}: the same text in other characters; "
    strange = not name.isascii()
    like = [one for one in known if len(one) == len(name) and (strange or not one.isascii())]
    match = nearest(name, like[:100_000])
    if match is None:
        return ""
    differing = [(a, b) for a, b in zip(name, match, strict=True) if a != b]
    mine, other = differing[0]
    if len(differing) > 2 or (mine.isascii() and other.isascii()):
        return ""
    return f"{match!r} exists with {_called(other)}, the list has {_called(mine)}; "


def _form(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _called(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}"
