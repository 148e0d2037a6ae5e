"""The forgotten share: how far a list moved from the original's confidence to the expected one.

Each forget sample is compared with its own original and its own expected probability. So a list of
one sample can have a share, and hard or mislabelled samples are not compared with easy ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from falw_cli.evaluation.intervals import CHUNK, LEVEL
from falw_cli.evaluation.metrics import Figure, GroupMetrics, Groups, Interval, Metrics, Pairs
from falw_cli.evaluation.scores import Counts, Vector

DRAWS = 1000
NEIGHBOURS = 200
"""Held-out samples of nearest expectation, whose errors estimate that of a forget sample."""
MEMORISED = 0.05
"""Mean excess of the true-class probability over the expected one, below which a list counts as
not memorised."""
FEW = 20
"""Minimum number of held-out samples for estimating the error of the expectation."""
LEAST = 0.02
"""Minimum fraction of the measured excess that counts as real, however large the errors are."""
WIDEST = 1000.0
"""Points, ten times the whole way: widest interval of a share. A wider one means that the original
may have memorised next to nothing, and the value depends on that alone."""
SHARED = 0.1
"""Assumed fraction of an error that is common to a list: photos of one person are alike."""
HALF = 50.0
"""Percent: lower margin. Below it, more than half of what was memorised remains."""
BEYOND = 150.0
"""Percent: upper margin, as far from 100 as HALF is. Up to it, the model differs from the
expectation by at most half of what the original did."""
OVER = 120.0
"""Percent: a share whose whole interval is above this is over-forgetting."""
BOUNDS = (HALF, OVER, BEYOND)
"""All of these; no printed share is rounded onto or across one of them."""
MAX_PAIRS = 2000
"""Maximum number of samples in the report's `pairs`."""


Claim = Literal["not forgotten", "cannot tell", "at least", "forgotten", "over-forgotten"]
"""What a forgotten share shows. "at least": memorisation has gone, over-forgetting is possible."""


def claim(share: Interval) -> Claim:
    """Return what the 95 % interval of a forgotten share shows.

    Forgotten is equivalence: the whole interval lies between HALF and BEYOND. An interval that
    reaches further is no evidence of it.
    """
    if share.upper < HALF:
        return "not forgotten"
    if share.lower < HALF:
        return "cannot tell"
    if share.lower > OVER:
        return "over-forgotten"
    return "forgotten" if share.upper <= BEYOND else "at least"


@dataclass(frozen=True)
class ExpectedProbabilities:
    """True-class probability expected of each forget sample, and its error on held-out samples."""

    label: Counts
    """Class of each forget sample, [N]."""
    before: Vector
    """Probability under the original, [N]."""
    expected: Vector
    """Probability expected of a model that never saw the list, [N]."""
    level: Vector
    """Expected probability of held-out samples, [M]."""
    error: Vector
    """True minus expected probability of these samples, [M]."""

    def share(self, after: Vector, classes: list[int] | None = None) -> Figure | None:
        """Return the forgotten share of a model, of all samples or of those of some classes.

        Args:
            after: probability of each forget sample under the model, [N].
            classes: None for all.
        """
        mine = slice(None) if classes is None else np.isin(self.label, classes)
        return forgotten_share(
            self.before[mine], after[mine], self.expected[mine], self.level, self.error
        )

    def add_shares(self, metrics: Metrics, after: Vector) -> Metrics:
        """Add the forgotten share, overall, per class and per third, to a model's metrics."""
        names = list(metrics.per_class)

        def of(classes: list[str]) -> dict[str, Figure | None]:
            return {"forgotten_share": self.share(after, [names.index(one) for one in classes])}

        groups = metrics.groups
        if groups is not None:
            shared: dict[str, GroupMetrics] = {}
            for name in Groups.model_fields:
                group: GroupMetrics = getattr(groups, name)
                shared[name] = group.model_copy(update=of(group.classes))
            groups = Groups(**shared)
        per_class = {
            name: one.model_copy(update=of([name])) for name, one in metrics.per_class.items()
        }
        more = {"forgotten_share": self.share(after), "per_class": per_class, "groups": groups}
        return metrics.model_copy(update=more)

    def pairs(self, after: Vector) -> Pairs:
        """Return the report's `pairs` for a model's probability of each forget sample, [N]."""
        order = np.lexsort((after, self.before, self.expected))
        count = min(len(order), MAX_PAIRS)
        rows = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]
        expected, before, found = (
            one[rows].round(4).tolist() for one in (self.expected, self.before, after)
        )
        return Pairs(expected=expected, before=before, after=found)


def excess_of(before: Vector, expected: Vector) -> float:
    """Return the mean probability above the expected one, see `forgotten_share`; 0 if empty."""
    return float((before - expected).mean()) if len(before) else 0.0


def forgotten_share(
    before: Vector, after: Vector, expected: Vector, level: Vector, error: Vector
) -> Figure | None:
    """Return the share of the way from original to expectation that a list has moved, percent.

    100 * sum(before - after) / sum(before - expected). The interval follows from the errors of the
    expectation on held-out samples. The original was not trained on these, so its own prediction
    is the true value there.

    Args:
        before, after: true-class probability of each forget sample, before and after, [N].
        expected: true-class probability expected of a model that never saw the list, [N].
        level, error: expected probability of held-out samples, and true minus expected one, [M].

    Returns:
        The share with its 95 % interval, or None if the original had not memorised the list, if
        the interval is wider than WIDEST, or if there are fewer than FEW held-out samples. An
        interval below HALF is kept, however wide: the list is surely not forgotten.
    """
    excess = excess_of(before, expected)
    if excess < MEMORISED or len(level) < FEW:
        return None
    moved = float((before - after).mean())
    random = np.random.default_rng(0)
    order = np.argsort(level, kind="stable")
    place = np.searchsorted(level[order], expected)
    near = min(NEIGHBOURS, len(level))
    first = np.clip(place - near // 2, 0, len(level) - near)
    near_rows = order[first[:, None] + np.arange(near)]
    pools, unseen = error[near_rows], (level + error)[near_rows]
    centred = pools - pools.mean(1, keepdims=True)
    rows = np.arange(len(pools))
    own, likes = [], []
    for _ in range(DRAWS // CHUNK):
        drawn_rows = rows, random.integers(0, near, (CHUNK, len(pools)))
        own.append(centred[drawn_rows].mean(1))
        likes.append(unseen[drawn_rows].mean(1))
    whole = error[random.integers(0, len(error), DRAWS)]
    # Errors of single samples average out over a list; the common part does not.
    # Held-out samples are harder than members, so the mean of their errors is removed.
    errors = np.concatenate(own) + SHARED * (whole - error.mean())
    true_excess = excess - errors
    drawn = 100 * moved / np.maximum(true_excess, LEAST * excess)
    # Where unseen samples of such an expectation are as familiar as the list was, there was nothing
    # to forget: such a list counts as forgotten, so that it is only called not forgotten if the
    # original surely had memorised it.
    familiar = before.mean() - np.concatenate(likes) < MEMORISED
    nothing = familiar | (true_excess <= LEAST * excess)
    possible = np.where(nothing, np.maximum(drawn, 100), drawn)
    lower, upper = np.percentile(drawn, LEVEL[0]), np.percentile(possible, LEVEL[1])
    value = 100 * moved / excess
    lower, upper = min(value, float(lower)), max(value, float(upper))
    if upper - lower > WIDEST and upper >= HALF:
        return None
    return Figure(value=value, lower=lower, upper=upper)
