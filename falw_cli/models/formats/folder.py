"""What the folders of timm and transformers have in common: a config.json, and files beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Metadata

CONFIG, OWN = "config.json", "falw.json"
LIMIT = 16 << 20
"""Bytes that a file of JSON in such a folder may have."""


def of(path: Path) -> Path | None:
    """The folder with a config.json that a path names: itself, or the one that a file lies in."""
    folder = path if path.is_dir() else path.parent
    return folder if (folder / CONFIG).is_file() else None


def read_json(file: Path) -> dict[str, Any]:
    """An object in JSON.

    Raises:
        RequestError: it is too large, or no object.
    """
    hint = "save the model again with its library"
    try:
        if file.stat().st_size > LIMIT:
            raise RequestError(f"{file} is larger than {LIMIT >> 20} MiB", hint)
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{file} cannot be read: {error.strerror}", hint) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{file} is not JSON: {error}", hint) from error
    if not isinstance(found, dict):
        raise RequestError(f"{file} holds no object", hint)
    return found


def own(folder: Path) -> Metadata | None:
    """What falw said when it wrote the folder."""
    file = folder / OWN
    if not file.is_file():
        return None
    try:
        return Metadata.model_validate(read_json(file))
    except ValueError as error:
        raise RequestError(f"{file} is not falw's", "remove it") from error


def names(given: object, count: int) -> tuple[str, ...]:
    """Class names in the order of the outputs: a list, or an object by number."""
    if isinstance(given, Mapping):
        given = [given.get(str(index), given.get(index)) for index in range(count)]
    if isinstance(given, list) and len(given) == count and all(isinstance(n, str) for n in given):
        return tuple(given)
    return tuple(str(index) for index in range(count))


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 over names and SHA-256s of a folder's files."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
