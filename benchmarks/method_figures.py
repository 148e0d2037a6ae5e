"""Draw the figures of docs/method.md: FaLW's weight by z, and what a long tail does.

python benchmarks/method_figures.py

The second figure is drawn from the tables of docs/results.md.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from falw_cli.unlearning.weighting import forgetting_aware_weight

DOCS = Path(__file__).parents[1] / "docs"
GROUPS = ("head", "mid", "tail")
BLUE, ORANGE = "#0072b2", "#d55e00"
"""Colours that all kinds of colour vision distinguish."""


def weight() -> Figure:
    """Draw the weight of a forget sample against z, for three balance factors."""
    z = torch.linspace(-3, 3, 301)
    classes = torch.zeros(len(z), dtype=torch.int64)
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for balance, kind in ((0.75, "a frequent class"), (1.0, "an average one"), (1.4, "a rare one")):
        # A target with mean 0 and deviation 1, so that p is z.
        weights = forgetting_aware_weight(
            z, classes, torch.zeros(1), torch.ones(1), torch.full((1,), balance)
        )
        axes.plot(z, weights, label=f"B = {balance}, {kind}")
    axes.axhline(1, color="black", linestyle=":", linewidth=0.8)
    axes.set_xlabel("z: how much better known than unseen data of the class, in deviations")
    axes.set_ylabel("weight")
    axes.legend()
    return figure


def tail() -> Figure:
    """Return the deviation from Retrain in head, mid and tail, by how long the tail is."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for axes, gamma in zip(figure.subplots(1, 3, sharey=True), (0, 1, 2), strict=True):
        for entry, label, colour, mark, shift in (
            ("random-label x none", "one loss for all", BLUE, "o", -0.06),
            ("random-label x falw", "FaLW's weights", ORANGE, "s", 0.06),
        ):
            means, deviations = measured(gamma, entry)
            axes.errorbar(
                [place + shift for place in range(3)], means, deviations,
                label=label, color=colour, marker=mark, capsize=3,
            )  # fmt: skip
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(f"gamma {gamma}", fontsize="medium")
        axes.set_xticks(range(3), GROUPS)
        axes.set_xlim(-0.4, 2.4)
    first = figure.axes[0]
    first.set_ylabel("forget accuracy\nminus Retrain's (points)")
    first.legend(fontsize="small", loc="lower left")
    return figure


def measured(gamma: int, entry: str) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation in each group, of lists of 10 %."""
    page = (DOCS / "results.md").read_text()
    table = page.partition(f"10 %, gamma {gamma}\n")[2].partition("\n## ")[0]
    head, row = (
        re.findall(rf"^\| {name} \| (.*)", table, re.M)[0].split(" | ") for name in ("entry", entry)
    )
    cells = dict(zip(head, row, strict=True))
    pairs = [cells[group].split(" ± ") for group in GROUPS]
    return [float(mean) for mean, _ in pairs], [float(spread) for _, spread in pairs]


if __name__ == "__main__":
    mpl.rcParams["svg.hashsalt"] = "falw"
    for name, figure in (("weight", weight()), ("tail", tail())):
        figure.savefig(DOCS / "plots" / f"{name}.svg", metadata={"Date": None})
