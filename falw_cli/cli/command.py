"""Commands from settings, which define options, help, environment variables and completion."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from falw_cli.cli import completion
from falw_cli.cli.app import PlainCommand
from falw_cli.cli.commands import COMMANDS
from falw_cli.cli.console import Console
from falw_cli.cli.session import session
from falw_cli.config.file import validated
from falw_cli.config.flags import Flag, flag_of
from falw_cli.config.paths import at_home, location
from falw_cli.config.resolution import SECTIONS, resolve
from falw_cli.config.settings import Config, Section, TrainRecipe, UnlearnRecipe
from falw_cli.errors import RequestError, nearest

PREFIX = "FALW_"
"""Prefix of the environment variables."""
DATA = (
    "data", "heldout", "classes", "label_column", "skip_unreadable", "with_copies", "drop_shared",
    "cache", "allow_outside",
)  # fmt: skip
"""Settings of commands that read data."""
UNSEEN = ("test", "group", "metadata", "heldout_metadata")
"""Settings of commands that split the data the model was not trained on."""
MODEL = ("arch", "trust_code")
"""Settings of commands that build a network."""
CHECKPOINT = (*MODEL, "weights")
"""Settings of commands that read a checkpoint."""
STEPS = ("epochs", "lr", "batch_size", "compile", "track", "resume")
"""Settings of commands that train or unlearn a network."""
EARLIER = ("forgotten", "ledger")
"""Settings of commands that leave out the samples of earlier requests."""
RUN = ("seed", "device", "devices", "nodes", "precision")
AUDIT = ("reference", "metrics", "correct", "relearn", "robustness", "gate", "report", "force")
"""Settings of commands that write an audit report."""
COMMON = {
    "config_file": Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Config (default: falw.yaml beside the model, else here).",
        ),
    ],
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors and warnings.")],
    "verbose": Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, help="More notes; twice: tracebacks."
        ),
    ],
}
"""Options of every command."""
NUMBERS: dict[Any, str] = {int: "INTEGER", float: "NUMBER"}
"""How the help shows the kinds of numbers."""
WIDEST = 16
"""Characters of the widest list of choices that the help shows in the place of a value."""


@dataclass(frozen=True)
class Call:
    """The arguments of a command's call."""

    given: dict[str, Any]
    """Config settings, from the command line and the environment."""
    own: Any
    """Settings that only this command has, an instance of its class; None if it has none."""
    file: Path | None
    """The config file given with `--config`."""
    console: Console
    as_json: bool

    def config(self, command: str, *, find: bool = True) -> Config:
        """Merge the given settings over the config file; see `resolve`."""
        return resolve(command, self.given, self.file, find=find)


def command(
    name: str,
    takes: Collection[str] = (),
    own: type[Section] | None = None,
    needs_model: bool = False,
    *,
    example: str,
) -> Callable[[Callable[[Call], None]], Any]:
    """Make a command of a function.

    Args:
        name: name of the command, a key of COMMANDS.
        takes: names of config settings, or of settings in the section named after the command.
        own: class of the settings that only this command has.
        needs_model: whether a checkpoint is required.
        example: command line for the help.

    Returns:
        A decorator that turns the function into the command for typer.
    """
    section = SECTIONS.get(name)
    fields = {
        key: (section if section and key in section.model_fields else Config).model_fields[key]
        for key in takes
    }
    mine = own.model_fields if own else {}

    def make(body: Callable[[Call], None]) -> Any:
        def run(**values: Any) -> None:
            common = {key: values.pop(key) for key in COMMON}
            given = {key: value for key, value in values.items() if value not in (None, [], ())}
            with session(common["quiet"], common["verbose"]) as console:
                _warn_of_environment(console)
                asked = {k: _at_home(mine[k], given.pop(k)) for k in mine if k in given}
                settings = own and validated(own, asked)
                chosen = {key: _value(fields[key], value) for key, value in given.items()}
                file = common["config_file"] and Path(at_home(str(common["config_file"])))
                body(Call(chosen, settings, file, console, common["json"]))

        parameters = list(_parameters({**fields, **mine}, {"model"} if needs_model else set()))
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        app = typer.Typer(
            add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
        )
        app.command(name, cls=PlainCommand, help=COMMANDS[name], epilog=f"Example: {example}")(run)
        return typer.main.get_command(app)

    return make


def _at_home(field: FieldInfo, value: Any) -> Any:
    """Return a command's own paths with a leading `~` replaced; `resolve` does it for the config's.

    The shell leaves `~` as it is inside quotes and after `kind:`.
    """
    if isinstance(value, list | tuple):
        return [_at_home(field, one) for one in value]
    if isinstance(value, Path):
        return Path(at_home(str(value)))
    if isinstance(value, str) and flag_of(field).argument:
        kind, place = location(value)
        return kind + at_home(place)
    return value


def _warn_of_environment(console: Console) -> None:
    """Warn of each FALW_ variable that no command reads."""
    fields = {**Config.model_fields, **TrainRecipe.model_fields, **UnlearnRecipe.model_fields}
    known = {
        (flag.name or key).replace("-", "_").upper()
        for key, field in fields.items()
        if (flag := flag_of(field)).panel and flag.environment
    }
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and (own := name.removeprefix(PREFIX)) not in known:
            match = nearest(own, known)
            advice = f"; did you mean {PREFIX}{match}?" if match else ""
            console.warn(f"no command reads the environment variable {name}{advice}")


def _parameters(fields: dict[str, FieldInfo], required: set[str]) -> Iterator[Parameter]:
    kind = Parameter.KEYWORD_ONLY
    for key, field in fields.items():
        needed = key in required or field.is_required()
        default = Parameter.empty if needed else None
        yield Parameter(key, kind, annotation=_annotation(key, field, needed), default=default)
    defaults = {"config_file": None, "verbose": 0}
    for key, annotation in COMMON.items():
        yield Parameter(key, kind, annotation=annotation, default=defaults.get(key, False))


def _annotation(key: str, field: FieldInfo, needed: bool) -> Any:
    """Return the typer annotation of a setting."""
    flag = flag_of(field)
    assert flag.panel, f"{key} is no option"
    of = str if flag.as_text else _type(field.annotation)
    shown = _metavar(field, flag, of)
    if of in NUMBERS:  # the checks of the setting read it, so that wrong values give one message
        of = str
    name = flag.name or key.replace("_", "-")
    shared: dict[str, Any] = {
        "help": _help(field, flag), "show_default": False,
        "autocompletion": _offered(field, flag),
    }  # fmt: skip
    if flag.argument:
        made = typer.Argument(metavar=key.upper(), **shared)
    else:
        variable = PREFIX + name.upper().replace("-", "_") if flag.environment else None
        panel = None if flag.panel == "Options" else flag.panel
        name += f"/--no-{name}" if field.default is True else ""
        made = typer.Option(
            f"--{name}", envvar=variable, rich_help_panel=panel, metavar=shown, **shared
        )
    return Annotated[of if needed else of | None, made]


def _metavar(field: FieldInfo, flag: Flag, of: Any) -> str | None:
    """Return what the help shows in the place of a value; None for a switch."""
    if of is bool:
        return None
    if _is_dict(field):
        return "NAME=NUMBER"
    if flag.names == "data":
        return "KIND:LOCATION"
    if flag.names or of in (Path, list[Path]):
        return "FILE"
    words = _literals(field.annotation)
    number = [NUMBERS[float]] if words and _has_number(field.annotation) else []
    listed = "|".join((*number, *words))
    if flag.choices or len(listed) > WIDEST:
        return "NAME"
    return listed or NUMBERS.get(of, "TEXT")


def _has_number(annotation: Any) -> bool:
    return annotation is float or any(map(_has_number, get_args(annotation)))


def _type(annotation: Any) -> Any:
    """Return the type that the command line reads: str, int, float, bool, Path, or a list."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return str
    if origin in (Union, types.UnionType):
        kinds = {_type(one) for one in inner if one is not type(None)}
        return kinds.pop() if len(kinds) == 1 else str
    if origin in (tuple, list):
        return list[_type(inner[0])]  # type: ignore[misc]
    return list[str] if origin is dict else annotation


def _is_dict(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is dict


def _help(field: FieldInfo, flag: Flag) -> str:
    text = " ".join((field.description or "").split())
    label = "Kinds" if flag.names == "data" else "Choices"
    return f"{text} {label}: {', '.join(flag.choices)}." if flag.choices else text


def _offered(field: FieldInfo, flag: Flag) -> completion.Complete | None:
    """Return the shell completion of a setting, if there is one."""
    if flag.offers:
        return completion.OFFERS[flag.offers]
    ending = ":" if flag.names == "data" else ""
    names = [f"{one}{ending}" for one in flag.choices] or _literals(field.annotation)
    return completion.among(names) if names else None


def _literals(annotation: Any) -> Sequence[str]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return [name for one in get_args(annotation) for name in _literals(one)]


def _value(field: FieldInfo, value: Any) -> Any:
    """Return the value as the config expects it: NAME=NUMBER pairs become a dictionary."""
    if not _is_dict(field):
        return value
    found = {}
    for text in value:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            raise RequestError(
                f"--set {text!r} is not NAME=NUMBER", "write it as: --set log_odds=1"
            ) from error
    return found
