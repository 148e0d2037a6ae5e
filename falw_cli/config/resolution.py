"""Flags, environment, falw.yaml and defaults, merged into one frozen Config.

Precedence: flag, then environment (read by the command line), then falw.yaml, then the checkpoint's
metadata, then the default. The last two are added once the checkpoint is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from falw_cli.config.file import class_names, parse_yaml, relative_to, validated
from falw_cli.config.flags import flag_of
from falw_cli.config.paths import at_home, check_spelling
from falw_cli.config.settings import Config, Recipe, TrainRecipe, UnlearnRecipe, merged_over
from falw_cli.errors import RequestError, unknown_name

FILE_NAME = "falw.yaml"
SECTIONS: dict[str, type[Recipe]] = {"train": TrainRecipe, "unlearn": UnlearnRecipe}
"""Commands whose flags --epochs, --lr and the like belong to a section of the config."""
BUILDS = {"unlearn", "evaluate", "train", "convert"}
"""Commands that build the network, and would import code that a config names."""
NAMES = {key: flag_of(field).names for key, field in Config.model_fields.items()}
"""What each setting names; see `relative_to`."""
WRITTEN = ("out", "report", "ledger")
"""Files that a command writes."""


def find_file(model: str | None) -> Path | None:
    """Return the implicit falw.yaml: beside the model, else in the working folder."""
    folders = [Path(model).parent] if model else []
    candidates = (folder / FILE_NAME for folder in [*folders, Path()])
    return next((file for file in candidates if file.is_file()), None)


def resolve(
    command: str, flags: Mapping[str, Any], file: Path | None = None, *, find: bool = True
) -> Config:
    """Merge flags over the config file.

    Args:
        command: decides which section --epochs, --lr and the like belong to.
        flags: values by setting; None means not given.
        file: a config given by the user; default: the implicit one.
        find: whether to look for an implicit config.

    Raises:
        RequestError: a file that cannot be read, an unknown key, a value out of range.
    """
    chosen = file is not None
    model = flags.get("model")
    file = file or (find_file(at_home(model) if model else None) if find else None)
    below = _read_file(file) if file else {}
    trusted = chosen or bool(flags.get("trust_code") or flags.get("arch"))
    if file and command in BUILDS and not trusted:
        _refuse_code(below, file)
    given: dict[str, Any] = {}
    section = SECTIONS[command].model_fields if command in SECTIONS else {}
    for key, value in flags.items():
        if value is None:
            continue
        if isinstance(value, str) and not value:
            raise RequestError(
                f"--{key.replace('_', '-')} is empty", "give a value, or leave it out"
            )
        if key in section:
            given.setdefault(command, {})[key] = value
        elif key in Config.model_fields:
            named = key == "classes" and isinstance(value, str)
            given[key] = class_names(Path(at_home(value))) if named else value
        else:
            raise unknown_name("option", key, [*Config.model_fields, *TrainRecipe.model_fields])
    validated(Config, given)
    given = relative_to(Path(), given, NAMES)
    merged = merged_over(below, given)
    check_spelling({key: value for key, value in merged.items() if key not in WRITTEN}, NAMES)
    for key in WRITTEN:
        if file and merged.get(key) and Path(merged[key]).resolve() == file.resolve():
            raise RequestError(f"--{key} {merged[key]} is the config file", "name another file")
    return Config.model_validate(merged)


def _refuse_code(content: Mapping[str, Any], file: Path) -> None:
    arch = content.get("arch")
    if isinstance(arch, str) and ":" in arch:
        raise RequestError(
            f"{file} asks to import code: arch {arch!r}",
            "give --arch or --config yourself, or --trust-code if you trust that folder",
        )


def _read_file(file: Path) -> dict[str, Any]:
    """Return a config file's content, validated, its paths made relative to the file."""
    content, lines = parse_yaml(file)
    if isinstance(named := content.get("classes"), str):
        content["classes"] = class_names(file.parent / named)
    for key, field in Config.model_fields.items():
        if key in content and not flag_of(field).in_file:
            name = (f"no-{key}" if field.default is True else key).replace("_", "-")
            raise RequestError(
                f"{file} line {lines[key,]}: {key} cannot be set in a file", f"give it as --{name}"
            )
    validated(Config, content, file, lines)
    return relative_to(file.parent, content, NAMES)
