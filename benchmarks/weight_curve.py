"""Draw the figure of docs/method.md: FaLW's weight by z, for three balance factors.

python benchmarks/weight_curve.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from falw_cli.unlearning.weighting import forgetting_aware_weight

mpl.rcParams["svg.hashsalt"] = "falw"
z = torch.linspace(-3, 3, 301)
classes = torch.zeros(len(z), dtype=torch.int64)
figure = Figure(figsize=(7, 3.6), layout="constrained")
axes = figure.add_subplot()
for balance, whose in ((0.75, "a frequent class"), (1.0, "an average one"), (1.4, "a rare one")):
    # A target with mean 0 and deviation 1, so that p is z.
    weight = forgetting_aware_weight(
        z, classes, torch.zeros(1), torch.ones(1), torch.full((1,), balance)
    )
    axes.plot(z, weight, label=f"B = {balance}, {whose}")
axes.axhline(1, color="black", linestyle=":", linewidth=0.8)
axes.set_xlabel("z: how much better known than unseen data of the class, in deviations")
axes.set_ylabel("weight")
axes.legend()
figure.savefig(Path(__file__).parents[1] / "docs" / "plots" / "weight.svg", metadata={"Date": None})
