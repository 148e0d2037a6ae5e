"""Verdicts on the default's results, against retrained models: a section of docs/proof.md.

    python -m benchmarks.agreement CIFAR WORK_FOLDER [--print]

It reads the reports that benchmarks/networks.py wrote, and runs the retrained models on the lists;
it trains nothing and writes nothing to WORK_FOLDER.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.coverage import replace_section
from benchmarks.networks import request, retrained
from benchmarks.networks_train import POOL, Place, places
from falw_cli.audit.report import Report
from falw_cli.data import loading
from falw_cli.data.device import place as place_on
from falw_cli.evaluation.forgotten import BEYOND, HALF, OVER, claim
from falw_cli.evaluation.metrics import Figure, Interval
from falw_cli.models.inputs import open_inputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent

HEAD = "## Verdicts on the default's results"
LEAST = 1e-3
"""Smallest true-class probability that counts as memorised, to avoid a division by zero."""
CLAIMS = ("forgotten", "not forgotten", "over-forgotten", "at least")


@dataclass(frozen=True)
class Cell:
    """A list of a network that the default unlearned."""

    net: str
    kind: str
    share: Figure | None
    """As reported."""
    truth: Interval
    """The true forgotten share, up to the seed-to-seed variation of two retrained models."""

    @property
    def claim(self) -> str:
        """What the verdict of this version says about the reported share."""
        return claim(self.share) if self.share else "not memorised"

    @property
    def contradicted(self) -> bool:
        """Whether the claim is false for every true share that the retrained models allow."""
        low, high = self.truth.lower, self.truth.upper
        return {
            "forgotten": high < HALF or low > BEYOND,
            "at least": high < HALF,
            "not forgotten": low >= HALF,
            "over-forgotten": high <= OVER,
        }.get(self.claim, False)


@lru_cache(maxsize=32)
def predicted(place: Place, name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return each retrained model's true-class probability of a list that it lacks, by ID."""
    without = name if name in place.kind.lists else POOL
    ids = place.ids(without)
    config = request(
        place, without, place.original(without), forget=str(ids),
        reference=[str(path) for path in retrained(place, name)],
    )  # fmt: skip
    given = open_inputs(config, Silent(), make_fabric(config))
    samples = place_on(given.splits.forget, given.network.fabric.device)
    listed = set(given.listed)
    # The forget set is in the order of the training data, not of the list.
    order = [one for one in loading.open_source(config, "data").ids if one in listed]
    found = [network.confidence(samples)[0].tolist() for network in given.references]
    one, other = (dict(zip(order, prob, strict=True)) for prob in found)
    return one, other


def true_share(
    before: float, after: float, retrains: tuple[float, float], noise: float
) -> Interval:
    """Return the true forgotten share in percent, with an interval.

    Args:
        before, after: mean true-class probability of the list.
        retrains: the same of both retrained models.
        noise: half width of the 95 % interval of their mean.
    """
    excess = before - sum(retrains) / 2
    ends = [100 * (before - after) / max(excess + sign * noise, LEAST) for sign in (-1, 1)]
    return Interval(lower=min(ends), upper=max(ends))


def noise_of(difference: Any, count: int) -> float:
    """Return the half width of the 95 % interval of the mean of two retrained models.

    Args:
        difference: difference of both on the samples that both lack, [N].
        count: number of samples in the list.
    """
    own, common = (difference**2).mean() / count, difference.mean() ** 2
    return float(1.96 / 2 * np.sqrt(own + common))


def mean_probability(found: Any) -> float:
    """Return the mean true-class probability of a model's forget samples, from its metrics."""
    known = [one for one in found.per_class.values() if one.forget_count]
    weights = [one.forget_count for one in known]
    return float(np.average([one.forget_probability for one in known], weights=weights))


def cells(cifar: Path, folder: Path) -> Iterator[Cell]:
    """Yield all lists that the default unlearned, with the reported and the true share."""
    found = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    known = {(one.net, one.seed): one for one in places(cifar, folder)}
    for row in found:
        if row["arm"] != "default" or "failed" in row:
            continue
        place = known[row["net"], row["seed"]]
        ids = (place.home / f"{row['ids']}.txt").read_text().splitlines()
        report = place.home / f"{row['ids']}-default.unlearned.audit.json"
        metrics = Report.model_validate_json(report.read_text()).metrics
        assert metrics.before
        assert metrics.after
        one, other = predicted(place, row["list"])
        before, after = mean_probability(metrics.before), mean_probability(metrics.after)
        means = tuple(float(np.mean([prob[i] for i in ids])) for prob in (one, other))
        noise = noise_of(np.array([one[i] - other[i] for i in one]), len(ids))
        truth = true_share(before, after, (means[0], means[1]), noise)
        yield Cell(place.net, row["list"], metrics.after.forgotten_share, truth)


def section(found: list[Cell]) -> str:
    """Return the section of docs/proof.md."""
    rows = dict.fromkeys((one.net, one.kind) for one in found)
    claimed = [one for one in found if one.claim in CLAIMS]
    wrong = [one for one in claimed if one.contradicted]
    affected = {(one.net, one.kind) for one in claimed}
    wrong_rows = {(one.net, one.kind) for one in wrong}
    silent = len(found) - len(claimed)
    lines = [
        HEAD, "",
        "The reports of the default in [networks](networks.md), against the true forgotten share: "
        "the way of the list's mean true-class probability from the original to the mean of two "
        "retrained models, with a 95 % interval for the seed-to-seed variation of that mean "
        "(`python -m benchmarks.agreement`). Agreement was defined before it was measured. A "
        "verdict agrees if at least one true share in the interval makes it true: between "
        f"{HALF:g} and {BEYOND:g} % for \"forgotten\", {HALF:g} % or more for \"at least\" (the "
        "headline \"Cannot tell whether the list is over-forgotten; at least … is forgotten\"), "
        f"below {HALF:g} % for \"not forgotten\", above {OVER:g} % for \"over-forgotten\". "
        "\"Cannot tell\" and \"not memorised\" claim nothing and are counted separately.", "",
        f"Of {len(found)} lists, {len(claimed)} have a verdict that claims something, and "
        f"{len(claimed) - len(wrong)} of these agree. {silent} claim nothing. Of the {len(rows)} "
        f"rows of that page, {len(affected)} have such a verdict, and in "
        f"{len(affected) - len(wrong_rows)} of these all agree.", "",
        "| network | list | reported share | verdict | true share | agrees |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in found:
        share, truth = one.share, one.truth
        reported = f"{share.value:.0f} % ({share.lower:.0f} to {share.upper:.0f})" if share else "–"
        agrees = "–" if one.claim not in CLAIMS else "**no**" if one.contradicted else "yes"
        upper = f"{truth.upper:.0f}" if truth.upper < 1000 else "more than 1,000"
        lines.append(
            f"| {one.net} | {one.kind} | {reported} | {one.claim} | "
            f"{truth.lower:.0f} to {upper} % | {agrees} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Replace the section in docs/proof.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--print", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    text = section(list(cells(asked.cifar.resolve(), asked.folder.resolve())))
    print(text)
    if not asked.print:
        replace_section(HEAD, text)


if __name__ == "__main__":
    main()
