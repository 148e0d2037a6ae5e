"""The console: what stays on a terminal when a stage ends."""

from __future__ import annotations

import io
import re

import pytest

from falw_cli.cli.console import Console, Rich


@pytest.fixture
def terminal() -> tuple[Console, io.StringIO]:
    """A console whose stderr is a terminal that keeps what is written."""
    console, out = Console(), io.StringIO()
    console.err = Rich(file=out, force_terminal=True, color_system=None, width=80, emoji=False)
    return console, out


def test_the_bar_is_removed_when_a_stage_ends_early(
    terminal: tuple[Console, io.StringIO],
) -> None:
    console, out = terminal
    console.start("unlearn", 133)
    assert console._bar is not None
    console.advance(60)
    console.end("no better step")
    assert console._bar is None
    last = out.getvalue().splitlines()[-1]
    assert re.search(r"unlearn: 60 of 133 steps, [\d.]+ s; no better step", last)
    console.end()
    assert out.getvalue().splitlines()[-1] == last


@pytest.mark.parametrize("label", ["decode imagefolder:train", "[bold]d:smile:[/]"])
def test_names_are_neither_emoji_nor_markup(
    terminal: tuple[Console, io.StringIO], capsys: pytest.CaptureFixture[str], label: str
) -> None:
    console, out = terminal
    console.start(label, 2)
    console.advance(2)
    shown = out.getvalue().splitlines()
    assert f"{label} " in "".join(shown[:-1])  # the bar
    assert f"{label}: " in shown[-1]
    Console().note(f"{label}: done")
    assert capsys.readouterr().err == f"{label}: done\n"


def test_a_complete_stage_says_its_time_and_no_count(
    terminal: tuple[Console, io.StringIO],
) -> None:
    console, out = terminal
    console.start("train", 2)
    console.advance(2, "loss 0.100")
    assert console._bar is None
    last = out.getvalue().splitlines()[-1]
    assert re.search(r"train: [\d.]+ s; loss 0\.100", last)
    assert "steps" not in last
