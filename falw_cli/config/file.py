"""Config files: YAML with line numbers, relative paths and readable errors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from falw_cli.config.paths import at_home, location, similar
from falw_cli.errors import RequestError, nearest

FILE_LIMIT = 1 << 20
"""Maximum size of a config in bytes; configs are untrusted."""
DEEPEST = 20
"""Maximum nesting depth of a config."""
M = TypeVar("M", bound=BaseModel)
Lines = Mapping[tuple[str, ...], int]
"""(key path) -> line, from 1, of the keys in the first two levels of a YAML document."""


def parse_yaml(file: Path) -> tuple[dict[str, Any], Lines]:
    """Return a config file's unchecked content, and the line of each key.

    Raises:
        RequestError: it cannot be read, or is not a mapping in YAML.
    """
    text = _small(file, "config", "a config is a few lines of YAML")
    try:
        _refuse_aliases(file, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise RequestError(f"{file}{line}: {problem}", "fix the YAML there") from error
    if content is None:
        return {}, {}
    if not isinstance(content, dict):
        raise RequestError(f"{file} holds no settings", "write lines such as `arch: tiny-cnn`")
    _refuse_repeated_keys(file, node)
    return content, dict(_key_lines(node))


def _small(file: Path, what: str, hint: str, missing: str = "check the path") -> str:
    """Return the text of a small file; `missing` is the hint if it cannot be read."""
    try:
        if file.stat().st_size > FILE_LIMIT:
            raise RequestError(f"{file} is larger than 1 MiB", hint)
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RequestError(
            f"{what} {file} cannot be read: {error.strerror}", similar(file) + missing
        ) from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{what} {file} is not UTF-8 text", "save it as UTF-8") from error


def _refuse_aliases(file: Path, text: str) -> None:
    """Refuse deep nesting, and aliases, which can expand without limit."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise RequestError(f"{file} line {line}: aliases are not allowed", "expand the alias")
        if depth > DEEPEST:
            raise RequestError(f"{file} line {line}: nested too deeply", "fix the YAML there")


def _refuse_repeated_keys(file: Path, node: yaml.Node | None) -> None:
    """Refuse a key that a mapping has twice: YAML would use the last one without a word."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _refuse_repeated_keys(file, one)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        if name in seen:
            raise RequestError(
                f"{file} line {line}: {name} is already set in line {seen[name]}",
                "delete one of the two",
            )
        seen[name] = line
        _refuse_repeated_keys(file, value)


def _key_lines(
    node: yaml.Node | None, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield (key path, line from 1) of every key in the first two levels of a YAML document."""
    if not isinstance(node, yaml.MappingNode) or len(prefix) > 1:
        return
    for key, value in node.value:
        path = (*prefix, str(key.value))
        yield path, key.start_mark.line + 1
        yield from _key_lines(value, path)


def relative_to(
    folder: Path, content: dict[str, Any], kinds: Mapping[str, str | None]
) -> dict[str, Any]:
    """Make the paths in a file relative to its folder, and a leading `~` the user's folder.

    Args:
        folder: folder of the file.
        content: settings in the file.
        kinds: what each setting names: "path", "paths", "data" (KIND:LOCATION), or None.
    """
    moved = dict(content)
    for key, value in content.items():
        kind = kinds.get(key)
        if kind == "path" and isinstance(value, str) and value != "-":
            moved[key] = _within(folder, value)
        elif kind == "paths":
            moved[key] = [_within(folder, one) for one in value]
        elif kind == "data" and isinstance(value, str):
            source, place = location(value)
            if source and place and not place.startswith("#"):
                moved[key] = source + _within(folder, place)
    return moved


def _within(folder: Path, path: str) -> str:
    path = at_home(path)
    return path if folder == Path() else os.path.join(folder, path)  # noqa: PTH118 (absolute ones)


def class_names(file: Path) -> list[str]:
    """Return class names from a text file, one per line, in the order of the model's outputs.

    Raises:
        RequestError: it cannot be read, is empty, or names a class twice.
    """
    hint = "write one class name per line"
    missing = "give a text file with one class name per line, in the order of the outputs"
    lines = _small(file, "classes", hint, missing).splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise RequestError(f"classes {file} is empty", hint)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(f"classes {file} names {twice!r} twice", "name each output once")
    return names


def validated(kind: type[M], content: Any, file: Path | None = None, lines: Lines = {}) -> M:  # noqa: B006
    """Return the model with this content.

    Raises:
        RequestError: a key is unknown, or a value is out of range; see `explain`.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise explain(error, file, lines, kind) from error


def explain(error: ValidationError, file: Path | None, lines: Lines, root: Any) -> RequestError:
    """Return pydantic's first error, with the line in the file or the name of the flag.

    Args: root, the model that was validated.
    """
    first = error.errors(include_url=False)[0]
    path = tuple(str(part) for part in first["loc"])
    known = next((path[:n] for n in (3, 2, 1) if path[:n] in lines), path[:1])
    model = _section(root, path)
    key = path[1] if len(path) > 1 and model is not root else path[0] if path else ""
    where = f"{file} line {lines.get(known, 1)}" if file else f"--{key.replace('_', '-')}"
    if first["type"] == "extra_forbidden":
        choices = list(getattr(model, "model_fields", {}))
        match = nearest(path[-1], choices)
        hint = f"did you mean {match!r}?" if match else f"known keys: {', '.join(choices)}"
        if places := _places(root, path):
            hint = f"write {path[-1]} {' or '.join(places)}"
        return RequestError(f"{where}: unknown key {path[-1]!r}", hint)
    field = getattr(model, "model_fields", {}).get(key)
    meaning = " ".join((field.description or "").split()) if field else ""
    if first["type"] == "missing":
        hint = f"{key}: {meaning}" if meaning else f"add a line `{path[-1]}:`"
        return RequestError(f"{file or where}: {'.'.join(path)} is missing", hint)
    message = (first["msg"][:1].lower() + first["msg"][1:]).partition(", unable to parse")[0]
    message += _alternatives(error, first["loc"])
    hint = f"{key}: {meaning}" if meaning else f"fix the value of {key}"
    if file and first["type"] == "string_type" and not isinstance(first["input"], list | dict):
        hint = "put it in quotes: YAML reads some words, such as no and on, and numbers otherwise"
    return RequestError(f"{where}: {message} (got {str(first['input'])[:80]!r})", hint)


def _alternatives(error: ValidationError, place: tuple[int | str, ...]) -> str:
    """Return the words that a setting takes too, such as auto in the place of a number."""
    others = error.errors(include_url=False)[1:]
    words = [
        one["ctx"]["expected"]
        for one in others
        if one["type"] == "literal_error" and one["loc"][:-1] == place[:-1]
    ]
    return "".join(f", or {one}" for one in words)


def _places(root: Any, path: tuple[str, ...]) -> list[str]:
    """Return where a key belongs that is in no section but should be, or the other way round."""
    if len(path) > 1:
        return ["at the left, outside all sections"] if path[-1] in root.model_fields else []
    sections = {name: _section(root, (name, "")) for name in root.model_fields}
    return [
        f"below `{name}:`"
        for name, section in sections.items()
        if section is not root and path[-1] in section.model_fields
    ]


def _section(root: Any, path: tuple[str, ...]) -> Any:
    """Return the model that the last key of a path belongs to: a section, or else the root."""
    field = root.model_fields.get(path[0]) if len(path) > 1 else None
    annotation = field.annotation if field else None
    inner = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if inner else root
