"""ROC curve of a class-matched attack that distinguishes members from non-members by one score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from falw_cli.evaluation.auc_interval import matched_auc
from falw_cli.evaluation.intervals import CHUNK, LEVEL, Counts, Interval, Vector, wilson

Draws = npt.NDArray[np.uint8]

FALSE_POSITIVES = (0.01, 0.001)
"""False-positive rates at which the true-positive rate is reported (Carlini et al., S&P 2022)."""


@dataclass(frozen=True)
class Curve:
    """True- vs. false-positive rate from (0, 0) to (1, 1), one point per threshold."""

    fpr: Vector
    tpr: Vector

    def at(self, fprs: npt.ArrayLike) -> Vector:
        """Return the highest true-positive rates at no more than these false-positive rates."""
        place = np.searchsorted(self.fpr, np.asarray(fprs) + 1e-12, side="right") - 1
        found: Vector = self.tpr[place]
        return found


@dataclass(frozen=True)
class Attack:
    """Figures of an attack, with their 95 % intervals."""

    auc: float
    """Area under the ROC curve, in [0, 1]; 0.5 is chance."""
    auc_interval: Interval
    auc_draws: Vector
    """AUC of each resample, [B]."""
    tpr: tuple[float, ...]
    """True-positive rate at each of FALSE_POSITIVES, in [0, 1]."""
    tpr_intervals: tuple[Interval, ...]
    curve: Curve
    non_members: int
    """Number of non-members with a weight."""


def matching(members: Counts, non_members: Counts) -> tuple[Vector, Vector]:
    """Return weights under which the non-members have the members' class mix.

    Args:
        members, non_members: class of each sample, [N_m] and [N_s].

    Returns:
        Weights of the members [N_m], 0 for classes without a non-member, and of the non-members
        [N_s]. Each vector sums to 1, or is all 0 if no class is on both sides.
    """
    size = int(max(members.max(initial=0), non_members.max(initial=0))) + 1
    of_members = np.bincount(members, minlength=size).astype(np.float64)
    of_non_members = np.bincount(non_members, minlength=size)
    both = (of_members > 0) & (of_non_members > 0)
    total = of_members[both].sum()
    if not total:
        return np.zeros(len(members)), np.zeros(len(non_members))
    share = np.divide(of_members, of_non_members, out=np.zeros(size), where=both)
    return both[members] / total, share[non_members] / total


def attack(
    members: Vector,
    non_members: Vector,
    weights: tuple[Vector, Vector],
    draws: tuple[Draws, Draws],
    strata: tuple[Counts, Counts] | None = None,
) -> Attack:
    """Attack by a score that is larger for members.

    Args:
        members, non_members: scores, [N_m] and [N_s].
        weights: weight of each sample, see `matching`; [N_m] and [N_s].
        draws: how often each sample is drawn in each resample, [B, N_m] and [B, N_s].
        strata: class of each sample, if the samples are independent, [N_m] and [N_s]; the AUC's
            interval is then valid from one member on. Without it, the interval is the bootstrap's.
    """
    score = np.concatenate([members, non_members])
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    cut = len(members)
    once = np.ones((1, len(score)), dtype=np.uint8)
    fpr, tpr = _rates(once, np.concatenate(weights), order, ends, cut)
    aucs, tprs = [], []
    for first in range(0, len(draws[0]), CHUNK):
        chunk = np.concatenate([part[first : first + CHUNK] for part in draws], axis=1)
        rates = _rates(chunk, np.concatenate(weights), order, ends, cut)
        aucs.append(_area(*rates))
        tprs.append([Curve(f, t).at(FALSE_POSITIVES) for f, t in zip(*rates, strict=True)])
    drawn = np.concatenate(tprs)
    curve = Curve(fpr[0], tpr[0])
    found = tuple(curve.at(FALSE_POSITIVES).tolist())
    count = weights[0].sum() ** 2 / max(float((weights[0] ** 2).sum()), 1e-30)
    auc_draws = np.concatenate(aucs)
    return Attack(
        float(_area(fpr, tpr)[0]),
        matched_auc(members, non_members, strata)[1] if strata else _between(auc_draws),
        auc_draws,
        found,
        tuple(
            # The threshold varies with the non-members, the share above it with the members. If no
            # member is above it, resampling gives width 0, so Wilson's interval is added.
            (min(low, wilson(rate, count)[0]), max(high, wilson(rate, count)[1]))
            for rate, (low, high) in zip(found, map(_between, drawn.T), strict=True)
        ),
        curve,
        int((weights[1] > 0).sum()),
    )


def _rates(
    counts: Draws, weights: Vector, order: Counts, ends: Counts, cut: int
) -> tuple[Vector, Vector]:
    """Return false- and true-positive rates of each resample, [B, thresholds + 1] each."""
    mass = counts[:, order] * weights[order]
    non_members = np.cumsum(mass * (order >= cut), axis=1)
    members = np.cumsum(mass, axis=1) - non_members
    found = []
    for summed in (non_members, members):
        whole = np.maximum(summed[:, -1:], np.finfo(np.float64).tiny)
        rate = np.clip(summed[:, ends] / whole, 0, 1)
        found.append(np.concatenate([np.zeros((len(rate), 1)), rate], axis=1))
    return found[0], found[1]


def _area(fpr: Vector, tpr: Vector) -> Vector:
    """Return the area under each row of rates [B, n], by trapezoids: ties count half. -> [B]"""
    found: Vector = (np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(axis=1)
    return found


def _between(drawn: Vector) -> Interval:
    low, high = np.percentile(drawn, LEVEL)
    return float(low), float(high)
