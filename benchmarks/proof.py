"""Validity of audits: intervals, class mix, power and false alarms, on small CIFAR-10 networks.

    python benchmarks/proof_nets.py CIFAR WORK_FOLDER
    python benchmarks/proof.py CIFAR WORK_FOLDER

CIFAR is a folder with train/ and test/ as images. Writes docs/proof.md.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from proof_nets import KEPT_OUT, PER_CLASS, RETRAINS, SEEDS, source

from falw_cli import __version__
from falw_cli.config.resolution import resolve
from falw_cli.data import forget_list, images, loading, splits
from falw_cli.data.device import place
from falw_cli.data.images import Geometry
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import FIELD, avg_gap, gap_interval, noise
from falw_cli.evaluation.measurement import metrics_of
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions, Resamples
from falw_cli.evaluation.scores import SamplePredictions
from falw_cli.models.inputs import open_inputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent

DOCS = Path(__file__).parents[1] / "docs"
INTRO = Path(__file__).with_suffix(".intro.md")
DRAWS = 40
"""Sets of samples on which each pair of retrained models is compared with the truth."""
SIZES = {"forget": 600, "retain": 2000, "test": 2000}
LISTS = 200
"""Lists of unseen images, each tested with one network: every alarm is false."""
LISTED = 600
OTHERS = "## Verdicts on "
"""Begin of the sections that other scripts write."""


@dataclass(frozen=True)
class Pool:
    """Predictions of a network on all images."""

    predictions: Predictions
    """Predictions on the list, the other training images and the test images."""
    unseen: SamplePredictions
    """Predictions on CIFAR-10 training images that no network was trained on."""


def measure_pools(cifar: Path, folder: Path, names: list[str]) -> dict[str, Pool]:
    """Evaluate every network on every image once."""
    flags = {
        **source(cifar),
        "forget": str(folder / "list.txt"),
        "test": f"imagefolder:{cifar}/test",
    }
    del flags["heldout"]
    first = resolve("evaluate", {**flags, "model": str(folder / f"{names[0]}.safetensors")})
    fabric = make_fabric(first)
    given = open_inputs(first, Silent(), fabric)
    judged = EvaluationSamples.of(given.splits, fabric.device)
    rest = {**flags, "per_class": {"data": [PER_CLASS, 10**6]}}
    listing = loading.open_source(resolve("evaluate", rest), "data")
    data = images.load(listing, first, Geometry(32, 32, 3), Silent())
    unseen = place(
        splits.part(data, splits.align(data.listing, given.network.classes)), fabric.device
    )
    found = {}
    for name in names:
        config = resolve("evaluate", {**flags, "model": str(folder / f"{name}.safetensors")})
        network = open_inputs(config, Silent(), fabric).network
        found[name] = Pool(
            Predictions.of(network, judged, 0), SamplePredictions.of(network, unseen)
        )
        print(f"evaluated: {name}", flush=True)
    return found


def again(pool: Predictions, seed: int) -> Predictions:
    """Resample from the pools, which represent the population; class shares are kept."""
    rng = np.random.default_rng([seed, 1])
    parts = {}
    for name, size in SIZES.items():
        seen: SamplePredictions = getattr(pool, name)
        rows = []
        for c in range(len(pool.classes)):
            mine = np.flatnonzero(seen.labels == c)
            number = max(1, round(size * len(mine) / len(seen)))
            rows.append(rng.choice(mine, number))
        parts[name] = seen.of_rows(np.concatenate(rows))
    return replace(pool, **parts, seed=seed)


def coverage(pools: dict[str, Pool]) -> list[str]:
    """Measure how often the interval of the gap contains the gap of the pools."""
    names = [f"retrain-{seed}" for seed in range(1, RETRAINS + 1)]
    truth = {n: metrics_of(pools[n].predictions) for n in names}
    pairs = list(combinations(names, 2))
    held, widths = dict.fromkeys(pairs, 0), []
    for draw in range(DRAWS):
        drawn = {n: again(pools[n].predictions, draw) for n in names}
        resamples = Resamples.of(drawn[names[0]])
        found = {n: metrics_of(one) for n, one in drawn.items()}
        scatter = {n: noise(list(FIELD), one, resamples) for n, one in drawn.items()}
        for a, b in pairs:
            low, high = gap_interval(found[a], found[b], scatter[a] - scatter[b])
            held[a, b] += low <= float(avg_gap(truth[a], truth[b]) or 0) <= high
            widths.append(high - low)
        print(f"coverage: draw {draw + 1} of {DRAWS}", flush=True)
    total = sum(held.values())
    share = 100 * total / (DRAWS * len(pairs))
    shares = [100 * count / DRAWS for count in held.values()]
    gaps = [float(avg_gap(truth[a], truth[b]) or 0) for a, b in pairs]
    return [
        "| pairs | draws of samples | intervals that contain the true gap | by pair, smallest to "
        "largest | true gaps | width of the intervals, median |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| {len(pairs)} | {DRAWS} | {share:.1f} % | {min(shares):.0f} % to {max(shares):.0f} % | "
        f"{min(gaps):.2f} to {max(gaps):.2f} | {np.median(widths):.2f} |",
    ]


def listed(labels: np.ndarray, gamma: float, seed: int, used: set[int]) -> np.ndarray:
    """Draw a list of unseen images that no earlier list contains."""
    free = np.array([row for row in range(len(labels)) if row not in used])
    available = np.bincount(labels[free], minlength=10)
    sizes = forget_list.tail_sizes(available, LISTED, gamma, seed)
    rows = free[np.array(forget_list.draw(labels[free], sizes, seed))]
    used.update(rows.tolist())
    return rows


def with_list(pool: Pool, rows: np.ndarray, seed: int = 0) -> Predictions:
    """Return the predictions with these unseen images as the forget list."""
    return replace(pool.predictions, forget=pool.unseen.of_rows(rows), seed=seed)


def class_mix(pools: dict[str, Pool]) -> list[str]:
    """Compare attacks on two unseen sets, one long-tailed and one balanced."""
    lines = [
        "| net | lists | usual MIA, long-tailed | balanced | difference | matched AUC, "
        "long-tailed | balanced | difference |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    worst_within = True
    for seed in SEEDS:
        pool = pools[f"out-0-{seed}"]
        used: set[int] = set()
        for order in (1, 2):
            found = []
            for gamma in (2.0, 0.0):
                one = with_list(pool, listed(pool.unseen.labels, gamma, order, used))
                after = full_audit(None, one, [], FIELD).metrics.after
                assert after.mia is not None
                found.append((after.mia_efficacy or 0.0, after.mia.auc))
            (tail, long), (flat, even) = found
            off = abs(long.value - even.value)
            within = off <= max(long.upper - long.lower, even.upper - even.lower)
            worst_within = worst_within and within
            lines.append(
                f"| {seed} | {order} | {tail:.2f} | {flat:.2f} | {abs(tail - flat):.2f} | "
                f"{long.value:.3f} ({long.lower:.3f} to {long.upper:.3f}) | "
                f"{even.value:.3f} ({even.lower:.3f} to {even.upper:.3f}) | {off:.3f} |"
            )
    words = "In every row" if worst_within else "Not in every row"
    return [
        *lines,
        "",
        f"{words} the difference of the matched attack is smaller than the width of its interval.",
    ]


def power(pools: dict[str, Pool]) -> list[str]:
    """Measure networks with known degrees of forgetting."""
    lines = [
        "| excluded from training | seed | distance (95 %) | chance | p | matched AUC (95 %) |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ordered = {"distance": True, "AUC": True}
    for seed in SEEDS:
        last = {"distance": 9.0, "AUC": 9.0}
        for percent in (*KEPT_OUT, 100):
            name = f"out-{percent}-{seed}" if percent < 100 else f"retrain-{seed}"
            after = full_audit(None, pools[name].predictions, [], FIELD).metrics.after
            assert after.mia is not None
            assert after.distance is not None
            auc, far = after.mia.auc, after.distance
            lines.append(
                f"| {percent} % | {seed} | {far.value:.3f} ({far.lower:.3f} to {far.upper:.3f}) | "
                f"{far.chance:.3f} | {far.p_value:.3f} | "
                f"{auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f}) |"
            )
            for key, value in (("distance", far.value), ("AUC", auc.value)):
                ordered[key] = ordered[key] and value < last[key]
                last[key] = value
    said = ", ".join(f"{key}: {'yes' if right else 'no'}" for key, right in ordered.items())
    return [*lines, "", f"In the right order for every seed: {said}."]


def alarms(pools: dict[str, Pool]) -> list[str]:
    """Count alarms on lists that no network was trained on; each one is a false alarm."""
    nets = [f"retrain-{seed}" for seed in range(1, RETRAINS + 1)]
    count = {"distance's permutation test": 0, "matched AUC's interval": 0}
    for number in range(LISTS):
        pool = pools[nets[number % len(nets)]]
        rows = listed(pool.unseen.labels, 1.0, number, set())
        after = full_audit(None, with_list(pool, rows, number), [], FIELD).metrics.after
        assert after.mia is not None
        assert after.distance is not None
        far = after.distance.p_value <= 0.05
        distinguished = not after.mia.auc.lower <= 0.5 <= after.mia.auc.upper
        for key, alarm in zip(count, (far, distinguished), strict=True):
            count[key] += alarm
        print(f"alarms: {number + 1} of {LISTS}: {count}", flush=True)
    return [
        f"{LISTS} lists of {LISTED} images, gamma 1, that the network (one of {len(nets)}) never "
        "saw.",
        "",
        "| test | false alarms | share |",
        "| --- | ---: | ---: |",
        *(f"| {key} | {n} | {100 * n / LISTS:.1f} % |" for key, n in count.items()),
    ]


def sections(pools: dict[str, Pool]) -> Iterator[str]:
    """Yield the sections of the page after its introduction."""
    yield "## Do intervals contain the true value?\n"
    yield from coverage(pools)
    yield "\n## Does the class mix shift an attack?\n"
    yield from class_mix(pools)
    yield "\n## Are degrees of forgetting distinguished?\n"
    yield from power(pools)
    yield "\n## False alarms\n"
    yield from alarms(pools)


def main() -> None:
    """Evaluate every network once, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=DOCS / "proof.md")
    asked = parser.parse_args()
    names = [f"retrain-{seed}" for seed in range(1, RETRAINS + 1)]
    names += [f"out-{percent}-{seed}" for seed in SEEDS for percent in KEPT_OUT]
    pools = measure_pools(asked.cifar, asked.folder, names)
    made = (
        f"Made by benchmarks/proof.py with falw {__version__}, torch {torch.__version__}, on a CPU "
    )
    made += f"({platform.machine()})."
    text = "\n".join([INTRO.read_text().rstrip(), "", made, "", *sections(pools)])
    old = asked.out.read_text() if asked.out.exists() else ""
    _, head, others = old.partition(f"\n{OTHERS}")
    asked.out.write_text(f"{text}\n{head}{others}")


if __name__ == "__main__":
    main()
