"""Folders that libraries save: config.json, weights, and falw.json if falw wrote them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Metadata

CONFIG, OWN = "config.json", "falw.json"
WEIGHTS = "model.safetensors"
"""The weights that belong to config.json, unless they are sharded."""
LIMIT = 16 << 20
"""Maximum size of a JSON file in such a folder, in bytes."""


def read_config(path: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a path, and its config.json: {} if there is none."""
    folder = path if path.is_dir() else path.parent
    file = folder / CONFIG
    return folder, read_json(file) if file.is_file() else {}


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        RequestError: the file is too large, or does not hold an object.
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
        raise RequestError(f"{file} is not a JSON object", hint)
    return found


def unclear(file: Path, error: Exception) -> RequestError:
    """Return the refusal of preprocessing that falw cannot apply exactly, for `Checkpoint`."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else error
    return RequestError(
        f"{file}: the preprocessing cannot be applied: {reason}",
        "give preprocessing: with image_size, mean and std in falw.yaml, which replaces it",
    )


def history(folder: Path) -> dict[str, Any]:
    """Return the metadata's training and unlearning from falw.json, if falw wrote the folder."""
    file = folder / OWN
    if not file.is_file():
        return {}
    try:
        found = Metadata.model_validate(read_json(file))
    except ValueError as error:
        raise RequestError(f"{file} is not valid falw metadata", "remove the file") from error
    return {name: getattr(found, name) for name in ("recipe", "left_out", "unlearned")}


def class_names(given: object, count: int) -> tuple[str, ...]:
    """Return names from a list or an object by index; the indices if any output has none."""
    return _names(given, count) or tuple(map(str, range(count)))


def _names(given: object, count: int) -> tuple[str, ...] | None:
    if isinstance(given, Mapping):
        given = [given.get(str(index), given.get(index)) for index in range(count)]
    if isinstance(given, list) and len(given) == count and all(isinstance(n, str) for n in given):
        return tuple(given)
    return None


def name_notes(key: str, given: object, count: int, back: object = None) -> list[str]:
    """Return notes on names of config.json that are not used, or that are contradicted.

    Args:
        key: where the names are.
        given: the names, see `class_names`.
        count: outputs of the model.
        back: the output of each name, from label2id of config.json.
    """
    names = _names(given, count)
    if names is None:
        why = f"is not used: it does not name the outputs 0 to {count - 1}"
        return [f"{key} of {CONFIG} {why}"] if given else []
    known = back if isinstance(back, Mapping) and len(set(names)) == count else {}
    other = [name for place, name in enumerate(names) if known.get(name, place) != place]
    return [f"{key} of {CONFIG} is used; label2id contradicts it: {other[0]!r}"] if other else []


def digest(files: Mapping[str, str]) -> str:
    """Return the SHA-256 over the names and SHA-256s of a folder's files."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
