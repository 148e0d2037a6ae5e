"""falw.yaml, environment, flags and checkpoint metadata, merged into one frozen Config.

Precedence: flag, then environment (read by `main`), then falw.yaml, then metadata, then default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from falw_cli.errors import RequestError, nearest, unknown_name
from falw_cli.unlearning.registry import METHODS, WEIGHTINGS

FILE_NAME = "falw.yaml"
FILE_LIMIT = 1 << 20
"""Bytes that a config may have: it comes from anyone."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the config: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(Section):
    """How an image becomes the network's input; a checkpoint's metadata carries it."""

    image_size: Annotated[int, Field(ge=8, le=4096)] | None = None
    """Side of the square input in pixels; default: the images' own size."""
    resize: Annotated[int, Field(ge=8, le=8192)] | None = None
    """Shorter side before the centre crop to image_size; default: image_size."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel, of pixels in [0, 1]; default: measured on the training data."""
    std: tuple[Positive, ...] | None = None
    """Standard deviation of each channel, likewise."""


class Recipe(Section):
    """How a network's weights are moved: one recipe for train, Retrain and unlearn."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.1
    """Highest learning rate of the schedule."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: NotNegative = 5e-4
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "one-cycle"
    """step divides by ten at 1/2 and 3/4 of the run; the others are torch's schedulers."""
    epochs: Count = 20
    batch_size: Count = 128
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    crop: Annotated[int, Field(ge=0)] = 0
    """Random crop after padding each side by so many pixels (4 on CIFAR-10); 0: none."""
    flip: bool = False
    """Random horizontal flip."""


class UnlearnRecipe(Recipe):
    """The recipe of unlearning, with base method and weighting; defaults: docs/defaults.md."""

    method: str = "random-label"
    weighting: str | None = None
    """Default: falw where the method has a forget loss, else none."""
    tau: NotNegative = 0.15
    """Strength of the balance factor, FaLW equation 2; the paper uses 0.1 to 0.2."""
    target_every: Count = 1
    """Re-estimate mu and sigma at every N-th step; 1 is the paper's."""
    lr: Positive = 0.01
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "cosine"
    epochs: Count = 1

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value not in METHODS:
            raise unknown_name("method", value, METHODS)
        return value

    @field_validator("weighting")
    @classmethod
    def _known_weighting(cls, value: str | None) -> str | None:
        if value is not None and value not in WEIGHTINGS:
            raise unknown_name("weighting", value, WEIGHTINGS)
        return value


class Config(Section):
    """Everything that a command was asked for, settled and frozen."""

    model: str | None = None
    arch: str | None = None
    classes: tuple[str, ...] | None = None
    """Class names in the order of the network's outputs; default: metadata, then the data's."""
    data: str | None = None
    heldout: str | None = None
    test: str | None = None
    forget: str | None = None
    without: str | None = None
    reference: tuple[str, ...] = ()
    gate: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    skip_unreadable: bool = False
    cache: bool = True
    preprocessing: Preprocessing = Preprocessing()
    train: Recipe = Recipe()
    unlearn: UnlearnRecipe = UnlearnRecipe()
    out: str | None = None
    report: str | None = None
    force: bool = False
    resume: bool = False
    dry_run: bool = False
    trust_code: bool = False
    allow_outside: bool = False

    def over(self, lower: Mapping[str, Any]) -> Config:
        """This config with what it does not set taken from `lower` (metadata, defaults)."""
        return Config.model_validate(_merge(lower, self.model_dump(exclude_unset=True)))


FLAG_ONLY = {"out", "report", "force", "resume", "dry_run", "trust_code", "allow_outside"}
"""What a file may not ask for: it may have come with a stranger's model."""
PATHS = ("model", "forget", "without")
SPECS = ("data", "heldout", "test")
SECTION_OF = {"train": "train", "unlearn": "unlearn"}
"""Commands whose flags --epochs, --lr … belong to a section of the config."""


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries, `upper` first."""
    merged = dict(lower)
    for key, value in upper.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def find_file(model: str | None) -> Path | None:
    """The falw.yaml that goes without saying: beside the model, else in the working folder."""
    folders = [Path(model).parent] if model else []
    candidates = (folder / FILE_NAME for folder in [*folders, Path()])
    return next((file for file in candidates if file.is_file()), None)


def resolve(command: str, flags: Mapping[str, Any], file: Path | None = None) -> Config:
    """Flags over the config file.

    Args:
        command: decides which section --epochs, --lr and their like belong to.
        flags: values by flag name with underscores; None stands for not given.
        file: the config named by a person; otherwise falw.yaml is looked for.

    Raises:
        RequestError: a file that cannot be read, an unknown key, a value out of range.
    """
    named = file is not None
    file = file or find_file(flags.get("model"))
    below = _read_file(file) if file else {}
    if file and not named:
        _refuse_code(below, file, trusted=bool(flags.get("trust_code")))
    given: dict[str, Any] = {}
    section = SECTION_OF.get(command)
    fields = {"train": Recipe, "unlearn": UnlearnRecipe}.get(command)
    for key, value in flags.items():
        if value is None:
            continue
        if section and fields and key in fields.model_fields:
            given.setdefault(section, {})[key] = value
        elif key in Config.model_fields:
            given[key] = value
        else:
            raise unknown_name("option", key, [*Config.model_fields, *Recipe.model_fields])
    try:
        Config.model_validate(given)
    except ValidationError as error:
        raise _explain(error, None, {}) from error
    return Config.model_validate(_merge(below, given))


def _refuse_code(content: Mapping[str, Any], file: Path, trusted: bool) -> None:
    arch = content.get("arch")
    if isinstance(arch, str) and ":" in arch and not trusted:
        raise RequestError(
            f"{file} asks to import code: arch {arch!r}",
            "give --arch or --config yourself, or --trust-code if you trust that folder",
        )


def _read_file(file: Path) -> dict[str, Any]:
    """A config file's content, validated, its paths made relative to the file."""
    try:
        if file.stat().st_size > FILE_LIMIT:
            raise RequestError(f"{file} is larger than 1 MiB", "a config is a few lines of YAML")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RequestError(
            f"config {file} cannot be read: {error.strerror}", "check the path after --config"
        ) from error
    except UnicodeDecodeError as error:
        raise RequestError(f"config {file} is not UTF-8 text", "save it as UTF-8") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise RequestError(f"{file}{line}: {problem}", "mend the YAML there") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RequestError(f"{file} holds no settings", "write lines such as `arch: tiny-cnn`")
    lines = dict(_key_lines(node))
    for key in FLAG_ONLY & set(content):
        raise RequestError(
            f"{file} line {lines[key,]}: {key} cannot be set in a file", f"give it as --{key}"
        )
    try:
        Config.model_validate(content)
    except ValidationError as error:
        raise _explain(error, file, lines) from error
    return _relative_to(file.parent, content)


def _key_lines(
    node: yaml.Node | None, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], int]]:
    """(key path, line from 1) of every key in the first two levels of a YAML document."""
    if not isinstance(node, yaml.MappingNode) or len(prefix) > 1:
        return
    for key, value in node.value:
        path = (*prefix, str(key.value))
        yield path, key.start_mark.line + 1
        yield from _key_lines(value, path)


def _relative_to(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Paths in a file are meant from where the file lies."""
    moved = dict(content)
    for key in PATHS:
        if isinstance(moved.get(key), str) and moved[key] != "-":
            moved[key] = os.path.join(folder, moved[key])  # noqa: PTH118 (keeps absolute ones)
    for key in SPECS:
        if isinstance(moved.get(key), str):
            kind, colon, location = moved[key].partition(":")
            if colon and location and not location.startswith("#"):
                moved[key] = f"{kind}:{os.path.join(folder, location)}"  # noqa: PTH118
    if "reference" in moved:
        moved["reference"] = [os.path.join(folder, r) for r in moved["reference"]]  # noqa: PTH118
    return moved


def _explain(
    error: ValidationError, file: Path | None, lines: Mapping[tuple[str, ...], int]
) -> RequestError:
    """The first thing that pydantic found, with the file's line or the flag's name."""
    first = error.errors(include_url=False)[0]
    path = tuple(str(part) for part in first["loc"])
    known = path[:2] if path[:2] in lines else path[:1]
    key = path[-1] if path[-1:] and not path[-1].isdigit() else path[0]
    where = f"{file} line {lines.get(known, 1)}" if file else f"--{key.replace('_', '-')}"
    if first["type"] == "extra_forbidden":
        model = Config.model_fields.get(path[0]) if len(path) > 1 else None
        section = model.annotation if model else Config
        choices = list(getattr(section, "model_fields", {}))
        match = nearest(path[-1], choices)
        hint = f"did you mean {match!r}?" if match else f"known keys: {', '.join(choices)}"
        return RequestError(f"{where}: unknown key {path[-1]!r}", hint)
    message = first["msg"][:1].lower() + first["msg"][1:]
    return RequestError(
        f"{where}: {message} (got {str(first['input'])[:80]!r})", f"mend the value of {key}"
    )
