"""The README is correct: its results match the benchmark, its links exist, and it is short."""

from __future__ import annotations

import re
from pathlib import Path

from falw_cli.config.extensions import METHODS, WEIGHTINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_results_are_those_of_the_benchmark() -> None:
    page = (ROOT / "docs" / "networks.md").read_text().partition("## tiny-cnn, 30 epochs")[2]
    measured = {row["list"]: row for row in rows(page) if row["arm"] == "default"}
    shown = rows(README.partition("## Results")[2])
    assert len(shown) >= 5
    for row in shown:
        assert row.items() <= measured[row["list"]].items()


def rows(text: str) -> list[dict[str, str]]:
    """Return the rows of the first table."""
    table = text[text.index("\n| ") + 1 :].partition("\n\n")[0].splitlines()
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    return [dict(zip(head, cells, strict=True)) for cells in body]


def test_the_length_is_bounded() -> None:
    assert len(README.splitlines()) <= 170
    assert len(README.split()) <= 1500


def test_links_exist() -> None:
    for target in re.findall(r"\]\((?!https:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_method_and_weighting_is_named() -> None:
    for name in (*METHODS, *WEIGHTINGS):
        assert f"`{name}`" in (ROOT / "docs" / "methods.md").read_text()
