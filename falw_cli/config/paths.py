"""Paths as people write them: `~`, and other spellings of a path that exists."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from falw_cli.config.extensions import SOURCES
from falw_cli.errors import RequestError, nearest


def at_home(path: str) -> str:
    """Return a path with a leading `~` replaced; the shell does not do it inside a word."""
    return path if os.path.exists(path) else os.path.expanduser(path)  # noqa: PTH110, PTH111


def location(spec: str) -> tuple[str, str]:
    """Return what precedes the location of a data source, `kind:`, and the location itself."""
    kind, colon, rest = spec.partition(":")
    if not colon:
        return "", spec
    if kind == "torchvision":  # its location is NAME:DIR
        name, second, rest = rest.partition(":")
        return f"{kind}{colon}{name}{second}", rest
    return kind + colon, rest


def check_spelling(values: Mapping[str, Any], kinds: Mapping[str, str | None]) -> None:
    """Refuse an input that does not exist, if the same path in another spelling does.

    Args:
        values: settings.
        kinds: what each setting names: "path", "paths", "data" (KIND:LOCATION), or None.

    Raises:
        RequestError: the hint names the existing path.
    """
    for key, value in values.items():
        for text in value if isinstance(value, tuple | list) else [value]:
            if kinds.get(key) is None or not isinstance(text, str) or text == "-":
                continue
            if kinds[key] == "data":
                _check_kind(key, text)
            path = location(text)[1].partition("#")[0] if kinds[key] == "data" else text
            if (found := other_spelling(path)) is not None:
                raise RequestError(f"{_flag(key)}: there is no {path}", f"did you mean {found!r}?")


def _check_kind(key: str, spec: str) -> None:
    """Refuse a file or folder without `kind:`; the hint names it with its kind."""
    kind, path = location(spec)
    if kind or path in SOURCES or not os.path.exists(path):  # noqa: PTH110
        return
    suffix = Path(path).suffix.lower().removeprefix(".")
    likely = suffix if suffix in SOURCES else "imagefolder"
    raise RequestError(f"{_flag(key)}: {path} has no kind", f"did you mean {f'{likely}:{path}'!r}?")


def _flag(key: str) -> str:
    return "MODEL" if key == "model" else f"--{key.replace('_', '-')}"


def other_spelling(path: str) -> str | None:
    """Return another spelling of a missing path that exists; None if it exists or none does."""
    if not path or "\0" in path or os.path.lexists(path):
        return None
    others = (one for one in _spellings(path) if one != path)
    return next((one for one in others if os.path.exists(one)), None)  # noqa: PTH110


def _spellings(path: str) -> Iterator[str]:
    """Yield a path without quotes, URL encoding, backslashes and with other forms of letters."""
    plain = path.strip().strip("'\"")
    if plain.lower().startswith("file:"):
        plain = urlsplit(plain).path
    for one in (plain, unquote(plain)):
        for form in (one, unicodedata.normalize("NFC", one), unicodedata.normalize("NFD", one)):
            yield form
            yield form.replace("\\", "/")


def similar(path: str | Path) -> str:
    """Return "did you mean NAME? " for a missing file; "" if none in its folder is similar."""
    missing = Path(path)
    try:
        if not missing.name or os.path.lexists(missing):
            return ""
        names = [one.name for one in islice(missing.parent.iterdir(), 1000)]
    except (OSError, ValueError):
        return ""
    # Names of few letters with the same suffix are not alike.
    alike = [name for name in names if nearest(missing.stem, [Path(name).stem])]
    match = nearest(missing.name, alike)
    return f"did you mean {str(missing.with_name(match))!r}? " if match else ""
