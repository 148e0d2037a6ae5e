"""Scores to rank forget samples by: error of the expectation, docs/expectation.md.

    python -m benchmarks.expectation CIFAR WORK_FOLDER [--only NET ...]

The networks are those of benchmarks/networks_train.py. Each score except the first ranks the forget
samples among the retain samples of their class. The same rank among held-out samples gives the
expectation.
The error is the mean |expected - mean of two retrained models| of the true-class probability.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.networks import request
from benchmarks.networks_train import POOL, Place, places
from falw_cli.config.settings import Recipe
from falw_cli.data.device import Samples, place
from falw_cli.models.inputs import open_inputs
from falw_cli.models.network import Network, true_class_probability
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import Work, fit
from falw_cli.training.run import CrossEntropy
from falw_cli.unlearning import difficulty
from falw_cli.unlearning import expectation as e

INTRO = Path(__file__).with_name("expectation.intro.md")
PAGE = Path(__file__).parents[1] / "docs" / "expectation.md"
COPY = Recipe(optimizer="adamw", lr=0.01, weight_decay=0.01, epochs=4)
GENTLE_COPY = COPY.model_copy(update={"lr": 0.001, "epochs": 2, "batch_size": 64})
Pair = tuple[Tensor, Tensor]
"""Scores of forget samples [N_f] and of retain samples [N_r]."""


def margins(network: Network, parts: tuple[Samples, Samples]) -> Pair:
    """Return the log-odds of the true class under the original."""
    first, second = (_odds(network.predict(part), part.labels) for part in parts)
    return first, second


def _odds(logits: Tensor, label: Tensor) -> Tensor:
    others = logits.scatter(1, label[:, None], -torch.inf).logsumexp(1)
    return logits.gather(1, label[:, None]).squeeze(1) - others


def noisy(network: Network, parts: tuple[Samples, Samples]) -> Pair:
    """Return log-odds of predictions averaged over 8 views with normal noise of 0.3."""

    def of(pixels: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(0)

        def moved(inputs: Tensor) -> Tensor:
            return inputs + 0.3 * torch.randn(inputs.shape, generator=random)

        return torch.stack([network.logits(pixels, moved).softmax(1) for _ in range(8)]).mean(0)

    first, second = (
        torch.logit(
            network.map_pixels(part, of).gather(1, part.labels[:, None]).squeeze(1), eps=1e-7
        )
        for part in parts
    )
    return first, second


def copies(network: Network, whole: Samples, forget: int, recipe: Recipe) -> Pair:
    """Return log-odds of two copies, each trained on one half and evaluated on the other."""
    half = torch.zeros(len(whole), dtype=torch.bool)
    for c in torch.unique(whole.labels).tolist():
        rows = (whole.labels == c).nonzero().squeeze(1)
        half[rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(c))[::2]]] = (
            True
        )
    found = torch.zeros(len(whole))
    for seen in (half, ~half):
        copy = replace(network, module=deepcopy(network.module))
        work = Work(whole.of(seen.nonzero().squeeze(1)), 0, recipe, 0, "copy")
        fit(copy, work, CrossEntropy(0.0), Silent(), Interrupt(), None)
        other = whole.of((~seen).nonzero().squeeze(1))
        found[~seen] = _odds(copy.predict(other), other.labels)
    return found[:forget], found[forget:]


def measure(at: Place) -> tuple[str, dict[str, tuple[float, ...]]]:
    """Return the correlation, and the error on the list, its hardest and its easiest tenth."""
    config = request(at, POOL, at.original(), at.ids(POOL))
    given = open_inputs(config, Silent(), make_fabric(config))
    network, device = given.network, given.network.fabric.device
    forget, retain, guide = (
        place(one, device)
        for one in (given.splits.forget, given.splits.retain, given.splits.heldout)
    )
    label, members = forget.labels, retain.labels
    truths = torch.stack([one.confidence(forget)[0] for one in given.references])
    truth, floor = truths.mean(0), float((truths[0] - truths[1]).abs().mean())
    unseen = network.predict(guide)
    kept = torch.from_numpy(given.splits.kept)
    gone = torch.bincount(label, minlength=len(network.classes))
    shifted = unseen + e.prior_shift(unseen, guide.labels, kept, gone)
    known = true_class_probability(shifted, guide.labels)
    order = truth.argsort()
    tenth = max(1, len(order) // 10)

    def row(rank: Tensor) -> tuple[float, ...]:
        off = (e.look_up(rank, label, known, guide.labels) - truth).abs()
        ends = off, off[order[:tenth]], off[order[-tenth:]]
        agreement = spearmanr(rank.numpy(), truth.numpy()).statistic
        return float(agreement), *(float(one.mean()) for one in ends)

    def among(scores: Pair) -> Tensor:
        return e.rank_among(scores[0], label, scores[1], members)

    parts = forget, retain
    plain = margins(network, parts)
    viewed = tuple(difficulty.view_margins(network, part) for part in parts)
    scores = difficulty.regression_scores(network, (forget, retain, guide))
    regressed = [difficulty.margin(scores[row], part.labels) for row, part in enumerate(parts)]
    whole = type(forget)(
        torch.cat([forget.pixels, retain.pixels]),
        torch.cat([label, members]),  # type: ignore[attr-defined]
    )
    recipe = GENTLE_COPY if at.kind.size else COPY
    found = {
        "two Retrain nets": (
            float(spearmanr(truths[0].numpy(), truths[1].numpy()).statistic), floor, np.nan, np.nan
        ),
        "margin, rank within the list": row(e.rank_among(plain[0], label, plain[0], label)),
        "margin, rank among members": row(among(plain)),
        "8 views with noise of 0.3": row(among(noisy(network, parts))),
        "4 views, shifted and mirrored": row(among((viewed[0], viewed[1]))),
        "regression on middle features": row(among((regressed[0], regressed[1]))),
        "two half-data copies": row(among(copies(network, whole, len(forget), recipe))),
        "regression and views: the default": row(
            e.expect(network, forget, retain, guide, kept).prob
        ),
    }  # fmt: skip
    return f"{at.net}, seed {at.seed}", found


def page(tables: dict[str, dict[str, tuple[float, ...]]]) -> str:
    """Return the page."""
    lines = [INTRO.read_text().rstrip(), ""]
    for name, rows in tables.items():
        lines += [f"## {name}", "", "| score | Spearman | error | hardest tenth | easiest tenth |",
                  "|---|--:|--:|--:|--:|"]  # fmt: skip
        for score, values in rows.items():
            cells = " | ".join("–" if np.isnan(value) else f"{value:.3f}" for value in values)
            lines.append(f"| {score} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure all existing networks, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    tables = {}
    for at in places(asked.cifar.resolve(), asked.folder.resolve(), asked.only):
        if at.retrain(POOL, 2).exists():
            name, rows = measure(at)
            tables[name] = rows
            print(name, rows, flush=True)
            PAGE.write_text(page(tables))


if __name__ == "__main__":
    main()
