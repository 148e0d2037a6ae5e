"""IDs that look alike but differ: other Unicode forms, letters of other alphabets."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from urllib.parse import unquote

from falw_cli.errors import nearest


def describe_difference(name: str, known: Sequence[str]) -> str:
    """Return how an unknown ID differs from a known one that looks the same, or an empty string."""
    if found := _other_spelling(name, frozenset(known)):
        return found
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


def _other_spelling(name: str, known: Collection[str]) -> str:
    """Return how a list spells an ID that exists in another spelling, or an empty string."""
    bare = name.strip().strip("'\"")
    spellings = {
        "in quotes": bare,
        "with ./": bare.removeprefix("./"),
        "with backslashes": bare.replace("\\", "/").removeprefix("./"),
        "URL-encoded": unquote(bare),
        "with a comment: write it on a line of its own": bare.partition("#")[0].strip(),
    }
    for how, one in spellings.items():
        if one != name and one in known:
            return f"did you mean {one!r}? The list has it {how}; "
    for sign, what in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), (" ", "spaces")):
        several = [one.strip().strip("'\"") for one in name.split(sign)]
        if len(several) > 1 and all(one in known for one in several):
            return f"a line has several IDs with {what} between them: write one ID per line; "
    parts = bare.replace("\\", "/").split("/")
    for start in range(1, len(parts)):
        if (one := "/".join(parts[start:])) in known:
            return f"did you mean {one!r}? IDs are paths below the folder of the data; "
    longer = sorted(one for one in known if one.endswith(f"/{bare}")) if bare else []
    if len(longer) > 1:
        return f"{len(longer)} IDs end in /{bare}, such as {longer[0]!r}: write the whole ID; "
    if longer:
        return f"did you mean {longer[0]!r}? IDs are paths below the folder of the data; "
    return ""


def _form(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _called(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}"
