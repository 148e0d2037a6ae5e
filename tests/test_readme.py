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


def test_the_gaps_of_the_methods_are_those_of_the_measured_pages() -> None:
    pages = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("demo", "ninety")}
    memorised, little = (
        list(row.values()) for row in rows(README.partition("Avg. Gap of each")[2])
    )
    *_, mean = rows(pages["demo"].partition("What to conclude")[2])
    assert memorised[1:] == list(mean.values())[4:]
    found = rows(pages["ninety"].partition("10 %, gamma 1\n")[2])
    gaps = {row["entry"]: row["Avg. Gap"].split()[0] for row in found}
    names = ("original", "match x none", "finetune x none", "random-label x falw", "Retrain")
    assert little[1:] == [gaps[name] for name in names]


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
