"""The README is correct: its results match the benchmark, and its links and names exist."""

from __future__ import annotations

import re
from pathlib import Path

from falw_cli.config.extensions import METHODS, WEIGHTINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_results_are_those_of_the_benchmark() -> None:
    measured = (ROOT / "docs" / "networks.md").read_text().splitlines()
    results = README.partition("## Results")[2].partition("## Honest limits")[0]
    shown = [line for line in results.splitlines() if "| default |" in line]
    assert len(shown) > 5
    assert all(line in measured for line in shown)


def test_links_exist() -> None:
    for target in re.findall(r"\]\((?!https:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_method_and_weighting_is_named() -> None:
    for name in (*METHODS, *WEIGHTINGS):
        assert f"`{name}`" in README
