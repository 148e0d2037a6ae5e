"""A setting is one field: option, help, environment, completion and checks follow from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field

from falw_cli.cli.app import app, run
from falw_cli.cli.command import Call, command
from falw_cli.cli.commands import COMMANDS
from falw_cli.config.flags import Flag, flag_of
from falw_cli.config.settings import Config, Section, TrainRecipe, UnlearnRecipe


class Probe(Section):
    """Settings of a command made here."""

    size: Annotated[int, Field(ge=1), Flag("Run")] = 3
    """Size of the probe."""
    kind: Annotated[Literal["slow", "fast"], Flag("Run", environment=False)] = "slow"
    """Kind of probe."""
    names: Annotated[tuple[str, ...], Flag("Run", name="name")] = ()
    """Name. Repeatable."""
    check: Annotated[bool, Flag("Run")] = True
    """Whether to check."""


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Call]]:
    """A command of these settings and `--seed`, and its calls."""
    monkeypatch.setitem(COMMANDS, "probe", "Probe.")
    calls: list[Call] = []
    return command("probe", ("seed",), Probe, example="falw probe")(calls.append), calls


def options(made: Any) -> dict[str, Any]:
    return {parameter.name: parameter for parameter in made.params}


def test_options_follow_from_the_fields(probe: tuple[Any, list[Call]]) -> None:
    found = options(probe[0])
    assert found["size"].opts == ["--size"]
    assert found["size"].help == "Size of the probe."
    assert found["size"].envvar == "FALW_SIZE"
    assert found["kind"].envvar is None
    assert found["names"].opts == ["--name"]
    assert found["names"].multiple
    assert found["check"].secondary_opts == ["--no-check"]
    assert found["seed"].help == " ".join((Config.model_fields["seed"].description or "").split())


class Places(Section):
    """Paths that only a command made here has."""

    place: Annotated[str, Flag("Options", argument=True)]
    """What to read."""
    out: Annotated[Path | None, Flag("Options", environment=False)] = None
    """File."""
    also: Annotated[tuple[Path, ...], Flag("Options", environment=False)] = ()
    """More files."""
    text: Annotated[str | None, Flag("Options", environment=False)] = None
    """No path."""


@pytest.mark.parametrize(
    ("written", "meant"), [("~/ids.txt", "/home/a/ids.txt"), ("csv:~/a.csv", "csv:/home/a/a.csv")]
)
def test_own_paths_may_begin_with_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", "/home/a")
    monkeypatch.setitem(COMMANDS, "places", "Places.")
    calls: list[Call] = []
    made = command("places", (), Places, example="falw places")(calls.append)
    words = [written, "--out", "~/o", "--also", "~/b", "--text", "~/c", "--config", "~/f.yaml"]
    made(words, standalone_mode=False)
    home = Path("/home/a")
    assert calls[0].own == Places(place=meant, out=home / "o", also=(home / "b",), text="~/c")
    assert calls[0].file == home / "f.yaml"


def test_values_arrive_checked(probe: tuple[Any, list[Call]]) -> None:
    made, calls = probe
    words = ["--size", "5", "--name", "a", "--name", "b", "--no-check", "--seed", "7"]
    made(words, standalone_mode=False)
    assert calls[0].own == Probe(size=5, names=("a", "b"), check=False)
    assert calls[0].config("probe", find=False).seed == 7
    made([], standalone_mode=False)
    assert calls[1].own == Probe()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--size", "ten"], "--size: input should be a valid integer (got 'ten')"),
        (["--size", "0"], "--size: input should be greater than or equal to 1 (got '0')"),
        (["--kind", "odd"], "--kind: input should be 'slow' or 'fast' (got 'odd')"),
    ],
)
def test_values_out_of_bounds_are_refused(
    probe: tuple[Any, list[Call]],
    words: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert probe[0](words, standalone_mode=False) == 2
    assert problem in capsys.readouterr().err


def test_every_setting_with_a_flag_belongs_to_a_command() -> None:
    group: Any = typer.main.get_command(app)
    taken = {name for key in COMMANDS for name in options(group.get_command(None, key))}
    fields = {**Config.model_fields, **TrainRecipe.model_fields, **UnlearnRecipe.model_fields}
    shown = {name for name, field in fields.items() if flag_of(field).panel}
    assert shown <= taken
    assert all(fields[name].description for name in shown)


@pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"]])
def test_the_help_shows_no_type_behind_a_flag(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 0
    assert "<bool>" not in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_no_type_of_python(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert not re.search(r"<(list|str|int|float|path)|\bPath\b", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("forget-list --out x", "stdout: write `> FILE`"),
        ("evaluate m -o x", "-o (did you mean --report?)"),
        ("unlearn m -f x", "--forget or --forgotten"),
        ("verify --reports x", "no such option: --reports"),  # REPORTS is an argument
        ("unlearn m --learning-rate 1", "--learning-rate (did you mean --lr?)"),
        ("unlearn m ids.txt", "an example is `falw unlearn model.safetensors --forget ids.txt`"),
        ("report m --out", "`falw report --help`"),
        ("frobnicate", "'frobnicate'\n"),
    ],
)
def test_invalid_usage_names_the_next_action(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 2
    assert said in capsys.readouterr().err


def test_without_arguments_the_help_is_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    shown = capsys.readouterr()
    assert "Usage: falw" in shown.out
    assert not shown.err


@pytest.mark.parametrize(
    ("words", "action"), [((), "--where"), (("--ratio", "0.1", "--count", "3"), "one of them")]
)
def test_forget_list_names_the_ways_to_select(
    words: tuple[str, ...], action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["forget-list", "--data", "digits", *words]) == 2
    assert action in capsys.readouterr().err
