"""Coverage of the audit's intervals in simulations with known truth: a section of docs/proof.md.

python -m benchmarks.coverage [--trials 1000]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from falw_cli.evaluation.auc_interval import matched_auc
from falw_cli.evaluation.forgotten import forgotten_share
from falw_cli.evaluation.membership import STRATA, auc_by_difficulty

PAGE = Path(__file__).parents[1] / "docs" / "proof.md"
HEAD = "## Simulated coverage"
UNSEEN = 60
"""Unseen samples per class."""
LISTS: dict[str, Sequence[int]] = {
    "1 sample": [1], "2 of one class": [2], "1 of each of 2 classes": [1, 1],
    "5 of one class": [5], "1 of each of 5 classes": [1] * 5,
    "1 of each of 30 classes": [1] * 30, "20 of one class": [20],
    "20, long-tailed": [12, 4, 2, 1, 1], "20, balanced": [2] * 10,
    "600, balanced": [60] * 10,
    "600, long-tailed": [300, 120, 70, 40, 25, 15, 12, 8, 6, 4],
}  # fmt: skip
SHIFTS = {0.0: "null", 0.36: "0.60", 1.2: "0.80", 2.2: "0.94", -0.8: "0.29"}
"""Distance of the members' scores from the non-members', and the AUC where classes are alike."""

DIFFICULTIES: dict[str, tuple[Sequence[float], float]] = {
    "random": ([1.0], 1.5), "hardest": ([-1.0], 1.0), "easiest": ([3.0], 1.0),
    "long-tailed": ([2.0] * 24 + [1.0] * 9 + [0.0] * 4 + [-1.0] * 2 + [-2.0], 1.0),
}  # fmt: skip
"""Expected log-odds of a list's samples: means of their classes, and the standard deviation."""
UNSEEN_ODDS = (1.0, 1.5)
"""Mean and standard deviation of the log-odds of unseen samples."""
OF_ALL = 600
"""Unseen samples of the difficulty-matched attack."""
ERRORS = {(0.7, 0.0): "null", (2.0, 0.0): "null, unreliable", (0.7, 1.5): "shift",
          (2.0, 1.5): "shift, unreliable"}  # fmt: skip
"""Standard deviation of a list's log-odds around the expected ones, and their shift."""
OWN = 0.7
"""Standard deviation of unseen samples' log-odds around those under the original."""


def auc_coverage(sizes: Sequence[int], shift: float, trials: int, seed: int = 0) -> float:
    """Return the share of intervals that contain the true AUC.

    Scores are normal; the mean differs between classes and is `shift` larger for members.

    Args:
        sizes: number of members per class.
        shift: in standard deviations.
        trials: number of simulated lists.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    classes = len(sizes)
    middle = np.linspace(-0.5, 0.5, classes)
    strata = np.repeat(np.arange(classes), sizes), np.repeat(np.arange(classes), UNSEEN)
    mix = np.array(sizes) / sum(sizes)
    above = ndtr((middle[:, None] + shift - middle[None, :]) / np.sqrt(2))
    truth = float(mix @ above @ mix)
    held = 0
    for _ in range(trials):
        members, others = (middle[one] + rng.standard_normal(len(one)) for one in strata)
        _, (low, high) = matched_auc(members + shift, others, strata)
        held += low <= truth <= high
    return held / trials


def difficulty_coverage(
    kind: str, count: int, error: float, shift: float, trials: int, seed: int = 0
) -> float | None:
    """Return the share of intervals of the difficulty-matched AUC that contain the true one.

    Scores are log-odds. Those of the list are around the expected ones, those of unseen samples
    around the original's; without a shift, the true AUC is 0.5 for each mix of difficulties.

    Args:
        kind: a key of DIFFICULTIES.
        count: number of forget samples.
        error: standard deviation of the list's scores; above OWN if the expectation is unreliable.
        shift: of the list's scores.
        trials: number of simulated lists.
        seed: random seed.

    Returns:
        None if a list of this size has no interval.
    """
    rng = np.random.default_rng(seed)
    means, deviation = DIFFICULTIES[kind]
    middle, wide = UNSEEN_ODDS
    edges = middle + wide * ndtri(np.arange(1, STRATA) / STRATA)
    # Each stratum as 20 equally probable values: [STRATA, 20].
    levels = middle + wide * ndtri((np.arange(STRATA * 20) + 0.5) / (STRATA * 20)).reshape(-1, 20)
    apart = levels[:, None, :, None] - levels[None, :, None, :] + shift
    above = ndtr(apart / np.hypot(OWN, error)).mean((2, 3))
    held = 0
    for _ in range(trials):
        unseen = rng.normal(middle, wide, OF_ALL)
        expected = rng.choice(means, count) + rng.normal(0, deviation, count)
        members = expected + rng.normal(shift, error, count)
        found = auc_by_difficulty(expected, unseen, members, unseen + rng.normal(0, OWN, OF_ALL))
        if found is None:
            return None
        mix = np.bincount(np.searchsorted(edges, expected), minlength=STRATA) / count
        held += found.lower <= mix @ above @ mix <= found.upper
    return held / trials


def share_coverage(count: int, common: float, trials: int, seed: int = 0) -> float:
    """Return the share of intervals of the forgotten share that contain the true one.

    The expectation's errors on held-out and on forget samples have the same distribution: true
    probabilities are drawn around the expected ones, and `common` of an error's variance is shared
    by the whole list, as with photos of one person.

    Args:
        count: number of forget samples.
        common: share of the variance, in [0, 1].
        trials: number of simulated lists.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    held = tried = 0
    while tried < trials:
        level, expected = rng.beta(1.2, 0.8, 1000), rng.beta(1.2, 0.8, count)
        shared = rng.random()
        own = np.where(rng.random(count) < common, shared, rng.random(count))
        truth = _around(expected, own)
        before = np.ones(count)
        after = before - (before - truth) * rng.uniform(0, 1.2)
        found = forgotten_share(
            before, after, expected, level, _around(level, rng.random(1000)) - level
        )
        if found is None or (before - truth).sum() < 0.05 * count:
            continue
        tried += 1
        held += found.lower <= 100 * (before - after).sum() / (before - truth).sum() <= found.upper
    return held / trials


def _around(level: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return true probabilities whose mean is the expected one, from uniform numbers."""
    from scipy.stats import beta

    certain = 2.0
    found: np.ndarray = beta.ppf(uniform, certain * level + 1e-3, certain * (1 - level) + 1e-3)
    return found


def section(trials: int) -> str:
    """Return the section of docs/proof.md."""
    lines = [
        HEAD, "",
        f"95 % intervals in {trials:,} simulated lists each, against the known truth "
        f"(`python -m benchmarks.coverage`). Non-members: {UNSEEN} per class. At 1,000 trials, a "
        "true coverage of 95 % is measured as 93.6 to 96.4 %. Ranks of a single member among 60 "
        "are coarse, so its coverage cannot be exact.", "",
        "Coverage for the AUC of the class-matched attack, by the true AUC (0.5: never seen):", "",
        f"| list | {' | '.join(SHIFTS.values())} |", f"|---|{'--:|' * len(SHIFTS)}",
    ]  # fmt: skip
    for name, sizes in LISTS.items():
        found = [f"{100 * auc_coverage(sizes, shift, trials):.1f} %" for shift in SHIFTS]
        lines.append(f"| {name} | {' | '.join(found)} |")
    lines += [
        "", "Coverage for the AUC of the difficulty-matched attack. The error of the expected "
        f"log-odds has a standard deviation of {OWN:g}, as for unseen samples. In the columns "
        f"“unreliable” it is {max(ERRORS)[0]:g}. The interval allows for an unreliable "
        "expectation. So it is wide for short lists if the expectation is reliable. "
        "Lists of fewer than 5 samples have none (–).", "",
        f"| list | samples | {' | '.join(ERRORS.values())} |", f"|---|--:|{'--:|' * len(ERRORS)}",
    ]  # fmt: skip
    for kind in DIFFICULTIES:
        for count in (1, 2, 5, 20, 200):
            found = [_percent(difficulty_coverage(kind, count, *one, trials)) for one in ERRORS]
            lines.append(f"| {kind} | {count} | {' | '.join(found)} |")
    lines += [
        "", "Coverage for the forgotten share, by the share of an error's variance that is common "
        "to the whole list:", "", "| samples | 0 | 0.1 | 0.3 |", "|--:|--:|--:|--:|",
    ]  # fmt: skip
    for count in (1, 2, 5, 20, 100, 600):
        found = [f"{100 * share_coverage(count, c, trials):.1f} %" for c in (0, 0.1, 0.3)]
        lines.append(f"| {count} | {' | '.join(found)} |")
    return "\n".join([*lines, ""])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def replace_section(head: str, text: str) -> None:
    """Replace a section of docs/proof.md, from its heading to the next."""
    before, _, after = PAGE.read_text().partition(f"\n{head}\n")
    rest = after.partition("\n## ")[2]
    PAGE.write_text(f"{before.rstrip()}\n\n{text}" + (f"\n## {rest}" if rest else ""))


def main() -> None:
    """Replace the section in docs/proof.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--print", action="store_true")
    asked = parser.parse_args()
    text = section(asked.trials)
    print(text)
    if not asked.print:
        replace_section(HEAD, text)


if __name__ == "__main__":
    main()
