"""Verdicts of the audit on retrained and on untouched models: a section of docs/proof.md.

    python -m benchmarks.verdicts CIFAR WORK_FOLDER [--only NET ...]

Run benchmarks/networks_train.py first; it trains the networks and two retrained models of each. The
lists are drawn from the samples that both of these lack.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.coverage import replace_section
from benchmarks.networks import request, retrained
from benchmarks.networks_train import POOL, Place, places
from falw_cli.evaluation.auc_interval import matched_auc
from falw_cli.evaluation.forgotten import ExpectedProbabilities, claim
from falw_cli.evaluation.membership import difficulty_matched
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.models.inputs import open_inputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent
from falw_cli.unlearning.forgotten_share import expected_from

HEAD = "## Verdicts on retrained and untouched models"
SIZES = (1, 5, 10, 20, 100)
DRAWS = 200
RESULTS = (
    "forgotten", "at least", "cannot tell", "not forgotten", "over-forgotten", "not memorised",
)  # fmt: skip


def opened(place: Place) -> tuple[ExpectedProbabilities, list[Predictions]]:
    """Return the expectation of a network's pool, and predictions of original and retrained."""
    paths = [str(path) for path in retrained(place, POOL)]
    config = request(
        place, POOL, place.original(), forget=str(place.ids(POOL)), reference=paths
    )  # fmt: skip
    inputs = open_inputs(config, Silent(), make_fabric(config))
    expected = expected_from(inputs.network, inputs.splits)
    assert expected is not None
    judged = EvaluationSamples.of(inputs.splits, inputs.network.fabric.device)
    models = (inputs.network, *inputs.references)
    return expected, [Predictions.of(one, judged, 0) for one in models]


def of(expected: ExpectedProbabilities, rows: np.ndarray) -> ExpectedProbabilities:
    """Return the expectation of the samples at `rows`."""
    names = ("label", "before", "expected")
    return replace(expected, **{name: getattr(expected, name)[rows] for name in names})


def result(expected: ExpectedProbabilities, after: np.ndarray) -> str:
    """Return the verdict on the forgotten share: one of RESULTS."""
    share = expected.share(after)
    return claim(share) if share is not None else "not memorised"


def drawn(expected: ExpectedProbabilities, size: int, turn: int) -> np.ndarray:
    """Draw a list from the pool: half of the lists at random, half from one class."""
    rng = np.random.default_rng([size, turn])
    rows = np.arange(len(expected.label))
    if turn % 2:
        counts = np.bincount(expected.label)
        label = rng.choice(np.flatnonzero(counts >= min(size, int(counts.max()))))
        rows = np.flatnonzero(expected.label == label)
    return rng.permutation(rows)[:size]


def small_lists(net: str, expected: ExpectedProbabilities, models: list[Predictions]) -> list[str]:
    """Return table rows: verdicts on lists drawn from the pool."""
    lines = []
    for name, chosen in (("original", models[:1]), ("Retrain", models[1:])):
        for size in SIZES:
            found = [
                result(of(expected, rows), one.forget.prob[rows])
                for turn in range(DRAWS)
                for rows in [drawn(expected, size, turn)]
                for one in chosen
            ]
            shares = " | ".join(f"{100 * found.count(r) / len(found):.1f} %" for r in RESULTS)
            lines.append(f"| {net} | {name} | {size} | {shares} |")
    return lines


def difficulty(net: str, expected: ExpectedProbabilities, models: list[Predictions]) -> list[str]:
    """Return table rows: both attacks on the hardest and the easiest tenth of the pool.

    The tenths are chosen by the expectation, and by the first retrained model; the second is
    attacked.
    """
    lines = []
    some = len(expected.label) // 10
    for by, score in (("expectation", expected.expected), ("Retrain", models[1].forget.prob)):
        order = np.argsort(score, kind="stable")
        for name, rows in (("hardest", order[:some]), ("easiest", order[-some:])):
            cells = []
            for one in (models[0], models[2]):
                forget = one.forget.of_rows(rows)
                strata = forget.labels, one.test.labels
                _, ends = matched_auc(forget.score("loss"), one.test.score("loss"), strata)
                mine = replace(one, forget=forget)
                found = difficulty_matched(of(expected, rows), models[0].test.prob, mine)
                cells.append(f"{ends[0]:.2f} to {ends[1]:.2f}")
                cells.append(f"{found.lower:.2f} to {found.upper:.2f}" if found else "–")
            lines.append(f"| {net} | {name}, by {by} | {' | '.join(cells)} |")
    return lines


def section(chosen: list[Place]) -> str:
    """Return the section of docs/proof.md."""
    tables: tuple[list[str], list[str]] = ([], [])
    for place in chosen:
        expected, models = opened(place)
        name = f"{place.net}, seed {place.seed}"
        tables[0].extend(small_lists(name, expected, models))
        tables[1].extend(difficulty(name, expected, models))
        print("\n".join([*tables[0], *tables[1]]), flush=True)
    return "\n".join([
        HEAD, "",
        f"{DRAWS} lists of each size, drawn from a tenth of the training data that two retrained "
        "models lack, half of them from one class (`python -m benchmarks.verdicts`). The verdict "
        "is that on the forgotten share. An original counts as an unlearned model that did not "
        "change; a retrained model should not be called \"not forgotten\" in more than 5 % of "
        "cases. \"At least\": the interval begins at 50 % or more and ends above 150 %, so that "
        "the memorisation is gone and over-forgetting is possible.", "",
        f"| network | model | samples | {' | '.join(RESULTS)} |",
        f"|---|---|--:|{'--:|' * len(RESULTS)}",
        *tables[0], "",
        "Lists that are not random: the hardest and the easiest tenth of these samples. "
        "95 % intervals of the AUC (0.5: like unseen samples), by class-matched and by "
        "difficulty-matched attack.", "",
        "| network | list | original: class | difficulty | Retrain: class | difficulty |",
        "|---|---|---|---|---|---|", *tables[1], "",
    ])  # fmt: skip


def main() -> None:
    """Replace the section in docs/proof.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    asked: Any = parser.parse_args()
    torch.set_num_threads(1)
    found = places(asked.cifar.resolve(), asked.folder.resolve(), asked.only)
    text = section([one for one in found if one.retrain(POOL, 2).exists()])
    replace_section(HEAD, text)


if __name__ == "__main__":
    main()
