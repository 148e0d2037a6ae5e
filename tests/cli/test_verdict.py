"""The end of a command: what is printed of a report, in which order."""

from __future__ import annotations

import io

import pytest
import typer

from falw_cli.cli.console import Console, Rich
from falw_cli.cli.verdict import show_report
from tests.audit.reports import HOSTILE, report


@pytest.fixture
def written() -> tuple[Console, io.StringIO]:
    """A console that writes both streams to one text."""
    console, out = Console(), io.StringIO()
    console.err = Rich(file=out, width=80, soft_wrap=True, highlight=False)
    console.out = Rich(file=out, width=80, highlight=False)
    return console, out


def test_the_headline_comes_first_and_the_gates_last(written: tuple[Console, io.StringIO]) -> None:
    console, out = written
    with pytest.raises(typer.Exit) as ended:
        show_report(report(), console, as_json=False)
    assert ended.value.exit_code == 1
    text = out.getvalue()
    assert text.startswith("A gate failed\n")
    places = [text.index(part) for part in ("forget accuracy, %", "note: class", "gate avg_gap<=2")]
    assert places == sorted(places)
    assert text.splitlines()[-1].endswith("no value: FAILED")


def test_a_warning_that_was_printed_is_not_repeated(written: tuple[Console, io.StringIO]) -> None:
    console, out = written
    console.warn(f"class {HOSTILE} is strange")
    with pytest.raises(typer.Exit):
        show_report(report(), console, as_json=False)
    assert out.getvalue().count("is strange") == 1


def test_quiet_prints_the_result_alone(written: tuple[Console, io.StringIO]) -> None:
    console, out = written
    console.quiet = True
    with pytest.raises(typer.Exit):
        show_report(report(), console, as_json=False)
    assert out.getvalue().lstrip().startswith("after -")
