"""Verdicts on the default's results, against retrained models: a section of docs/proof.md.

    python -m benchmarks.agreement CIFAR WORK_FOLDER [--print] [--jobs 2]

The unlearned models that benchmarks/networks.py wrote are evaluated again, against their originals,
so that the verdicts are those of the installed version.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.coverage import replace_section
from benchmarks.networks import request
from benchmarks.networks_train import POOL, Place
from falw_cli.audit.build import Invocation
from falw_cli.audit.report import Report
from falw_cli.audit.verdict import verdict
from falw_cli.evaluation.forgotten import BEYOND, HALF, OVER, claim
from falw_cli.evaluation.metrics import Figure, Metrics
from falw_cli.runs.evaluate import evaluate
from falw_cli.runtime.progress import Silent

HEAD = "## Verdicts on the default's results"
LEAST = 1e-3
"""Minimum excess of the true-class probability, to avoid a division by zero."""
CALLED = {POOL: "10 %, gamma 1", "gamma-0": "10 %, gamma 0", "gamma-2": "10 %, gamma 2"}
UNCLEAR = "Cannot tell whether the list is forgotten"
CLAIMS = ("forgotten", "not forgotten", "over-forgotten", "at least")


@dataclass(frozen=True)
class Cell:
    """A list of a network that the default unlearned."""

    net: str
    kind: str
    share: Figure | None
    """As reported."""
    truth: Figure
    """The true forgotten share; its interval is for the variation between retrained models."""
    headline: str

    @property
    def claim(self) -> str:
        """What the verdict says: other tests may contradict the share."""
        if not self.share:
            return "not memorised"
        return "cannot tell" if self.headline.startswith(UNCLEAR) else claim(self.share)

    def false(self, low: float, high: float) -> bool:
        """Return whether the claim is false for every true share from `low` to `high`."""
        return {
            "forgotten": high < HALF or low > BEYOND,
            "at least": high < HALF,
            "not forgotten": low >= HALF,
            "over-forgotten": high <= OVER,
        }.get(self.claim, False)


def true_share(before: float, after: float, retrained: float, noise: float) -> Figure:
    """Return the true forgotten share in percent, with an interval.

    Args:
        before, after: mean true-class probability of the list.
        retrained: the same, mean of both retrained models.
        noise: half width of the 95 % interval of that mean.
    """
    excess = before - retrained
    found = [100 * (before - after) / max(excess + sign * noise, LEAST) for sign in (-1, 0, 1)]
    return Figure(value=found[1], lower=min(found), upper=max(found))


def noise_of(difference: float, count: int) -> float:
    """Return the half width of the 95 % interval of the mean of two retrained models.

    Args:
        difference: mean absolute difference of both, per sample, on the samples that both lack.
        count: number of samples in the list.
    """
    deviation = math.sqrt(math.pi / 2) * difference  # of a normal difference
    return 1.96 * deviation / 2 / math.sqrt(count)


def mean_probability(found: Metrics | None) -> float:
    """Return the mean true-class probability of a model's forget samples, from its metrics."""
    assert found is not None
    known = [one for one in found.per_class.values() if one.forget_probability is not None]
    weights = [one.forget_count for one in known]
    return float(np.average([one.forget_probability for one in known], weights=weights))


Row = dict[str, Any]


def audited(task: tuple[Place, Row]) -> Report:
    """Evaluate the unlearned model of a row, against its original."""
    torch.set_num_threads(1)
    place, row = task
    name, ids = row["list"], row["ids"]
    listed = place.ids(name) if name in (POOL, *place.lists) else place.home / f"{ids}.txt"
    config = request(
        place, name, place.home / f"{ids}-default.unlearned.safetensors", command="evaluate",
        original=str(place.original(name)), forget=str(listed),
    )  # fmt: skip
    return evaluate(config, Silent(), Invocation.now())


def cells(cifar: Path, folder: Path, jobs: int) -> Iterator[Cell]:
    """Yield all lists that the default unlearned, with the reported and the true share."""
    lines = (folder / "results.jsonl").read_text().splitlines()
    rows: list[Row] = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["arm"] == "default" and "failed" not in row]
    apart = {(row["net"], row["seed"], row["list"]): row["floor_off"] for row in rows}
    tasks = [(Place(cifar, folder, row["net"], row["seed"]), row) for row in rows]
    with ProcessPoolExecutor(jobs) as pool:
        for (place, row), report in zip(tasks, pool.map(audited, tasks), strict=True):
            net, seed, kind = row["net"], row["seed"], row["list"]
            before, after = report.metrics.before, report.metrics.after
            # The other lists are drawn from the pool, which both retrained models lack.
            difference = apart[net, seed, kind if kind in place.lists else POOL]
            truth = true_share(
                mean_probability(before), mean_probability(after), row["p_retrain"],
                noise_of(difference, report.forget.count),
            )  # fmt: skip
            headline = verdict(report).headline
            print(net, seed, kind, headline, flush=True)
            share = after.forgotten_share if after else None
            yield Cell(net, kind, share, truth, headline)


def section(found: list[Cell]) -> str:
    """Return the section of docs/proof.md."""
    rows = {(one.net, one.kind) for one in found}
    claimed = [one for one in found if one.claim in CLAIMS]
    wrong = [one for one in claimed if one.false(one.truth.lower, one.truth.upper)]
    off = [one for one in claimed if one.false(one.truth.value, one.truth.value)]
    with_claim = {(one.net, one.kind) for one in claimed}
    counted = ", ".join(
        f'{sum(one.claim == name for one in found)} "{name}"'
        for name in dict.fromkeys(one.claim for one in found)
    )
    lines = [
        HEAD, "",
        "The results of the default in [networks](networks.md), evaluated again with their "
        "originals, compared with the true forgotten share: how far the list's mean true-class "
        "probability moved from the original to the mean of two retrained models "
        "(`python -m benchmarks.agreement`). Its 95 % interval is for "
        "the variation of that mean between random seeds, from the differences of the two models "
        "per sample. Agreement was defined before it was measured: a verdict agrees if a true "
        f"share in this interval makes it true. That is {HALF:g} to {BEYOND:g} % for "
        "\"forgotten\", "
        f"{HALF:g} % or more for \"at least\" (headline: \"Cannot tell whether the list is "
        f"over-forgotten; at least … is forgotten\"), below {HALF:g} % for \"not forgotten\", "
        f"above {OVER:g} % for \"over-forgotten\". \"Cannot tell\" and \"not memorised\" claim "
        "nothing and are counted separately.", "",
        f"{len(found)} lists: {counted}. Of the {len(claimed)} verdicts that claim something, "
        f"{len(claimed) - len(wrong)} agree. {len(claimed) - len(off)} also agree with the true "
        f"share itself, without its interval. {len(with_claim)} of the {len(rows)} rows of that "
        "page have such a verdict, and in "
        f"{len(with_claim - {(one.net, one.kind) for one in wrong})} of these all agree "
        f"({len(with_claim - {(one.net, one.kind) for one in off})} without the interval).", "",
        "| network | list | reported share | verdict | true share | agrees |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    order = list(dict.fromkeys(one.net for one in found))
    for one in sorted(found, key=lambda cell: order.index(cell.net)):
        share, truth = one.share, one.truth
        reported = f"{share.value:.0f} % ({share.lower:.0f} to {share.upper:.0f})" if share else "–"
        agrees = "yes" if one not in off else "**no**" if one in wrong else "within the interval"
        true = f"{_short(truth.value)} % ({_short(truth.lower)} to {_short(truth.upper)})"
        name, kind = one.net, CALLED.get(one.kind, one.kind)
        lines.append(
            f"| {name} | {kind} | {reported} | {one.claim} | {true if share else '–'} | "
            f"{agrees if one in claimed else '–'} |"
        )
    return "\n".join([*lines, ""])


def _short(share: float) -> str:
    """Return a share as text; a list that was hardly memorised has one without meaning."""
    return (
        f"{round(share)}" if abs(share) <= 1000 else "above 1,000" if share > 0 else "below -1,000"
    )


def main() -> None:
    """Replace the section in docs/proof.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--print", action="store_true")
    asked = parser.parse_args()
    text = section(list(cells(asked.cifar.resolve(), asked.folder.resolve(), asked.jobs)))
    print(text)
    if not asked.print:
        replace_section(HEAD, text)


if __name__ == "__main__":
    main()
