"""95 % interval of the AUC of a matched attack, valid from one member on.

The AUC is the mean of the members' ranks among non-members. A bootstrap cannot vary the rank of a
single member, so the interval is found by inverting a test: it has each AUC under which the found
one lies in the central 95 %. The distribution of the ranks is that of the binormal model (Dorfman
and Alf, 1969), scaled to the measured variance as far as there are members to measure it. The
variation of the non-members is added (DeLong et al., 1988).
`benchmarks/coverage.py` simulates the coverage; docs/proof.md has its results.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from falw_cli.evaluation.intervals import LEVEL, Counts, Interval, Vector, Z

EXACT = 20
"""Number of members up to which the shape of the distribution is simulated."""
DRAWS = 4000
PRIOR = 20
"""Weight of the model's variance, in degrees of freedom of the measured variance."""
ANSWERS = np.concatenate([np.linspace(0.5, 0.98, 25), [0.99, 0.995, 0.998]])
"""AUCs for which quantiles are computed."""
UNIFORM = 1 / 12
"""Variance of the rank of a member that is like the non-members."""
BEYOND = 1.5
"""Factor on this variance where the members' strata are estimated, until it is measured."""


def matched_auc(
    members: Vector,
    non_members: Vector,
    strata: tuple[Counts, Counts],
    *,
    estimated: bool = False,
) -> tuple[float, Interval]:
    """Return the AUC and its interval.

    Args:
        members, non_members: scores, [N_m] and [N_s].
        strata: class (or other stratum) of each, by which the non-members are weighted; members
            of a stratum without non-members are left out. At least one stratum has both.
        estimated: whether the members' strata are estimates. A member's score may then be further
            from its stratum than those of the non-members, so that these do not show its variance.
    """
    size = int(max(strata[0].max(), strata[1].max())) + 1
    of_members, of_others = (np.bincount(one, minlength=size) for one in strata)
    share = np.where(of_others > 0, of_members, 0).astype(np.float64)
    count = int(share.sum())
    share /= count
    kept = of_others[strata[0]] > 0
    own, stratum = members[kept], strata[0][kept]
    weight = (share / np.maximum(of_others, 1))[strata[1]]
    rank = _share_below(own, non_members, weight)
    spread, noise, level = _variances(rank, share, (own, non_members, strata[1], weight))
    if estimated:
        spread, off = BEYOND * UNIFORM / count, _off_line(rank, level[stratum])
    else:
        off = _off_strata(rank, stratum)
    auc = min(1.0, float(rank.mean()))  # the weights sum to 1 except for rounding
    present = share > 0
    effective = 1 / float((share[present] ** 2 / of_others[present]).sum())
    # Ranks are among finitely many non-members: half a rank, or a full one for a single member.
    step = 0.5 + 0.5 / count
    upper_at, lower_at = ((auc * effective + side) / (effective + 1) for side in (step, 1 - step))
    noise = max(noise, upper_at * (1 - upper_at) / (effective * count))
    # The number of members of one stratum whose mean rank would vary as much.
    equal = max(1.0, UNIFORM / spread) if spread else float(count)
    answers, low, high = _quantiles(min(EXACT, int(equal)))
    up = float(np.interp(upper_at, low, answers, left=answers[0], right=1.0))
    down = float(np.interp(lower_at, high, answers, left=0.0, right=answers[-1]))
    scale = np.sqrt(min(EXACT, int(equal)) / equal) * _measured(off, auc, spread * count)
    below = np.hypot(max(0.0, auc - down) * scale, Z * np.sqrt(noise))
    above = np.hypot(max(0.0, up - auc) * scale, Z * np.sqrt(noise))
    return auc, (max(0.0, auc - float(below)), min(1.0, auc + float(above)))


def _share_below(scores: Vector, among: Vector, weight: Vector) -> Vector:
    """Return the weight of `among` below each score; ties count half. Weights sum to 1."""
    order = np.argsort(among, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(weight[order])])
    below, upto = (np.searchsorted(among[order], scores, side) for side in ("left", "right"))
    found: Vector = (total[below] + total[upto]) / 2
    return found


def _variances(
    rank: Vector, share: Vector, sides: tuple[Vector, Vector, Counts, Vector]
) -> tuple[float, float, Vector]:
    """Return two variances of the mean rank, and the mean rank of each stratum's non-members.

    The first is that of members like the non-members, the second is due to the non-members.
    """
    own, others, other_stratum, weight = sides
    among_others = _share_below(others, others, weight)
    above = 1 - _share_below(others, own, np.full(len(own), 1 / len(own)))
    spread = noise = 0.0
    level = np.zeros(len(share))
    for c in np.flatnonzero(share):
        mine = other_stratum == c
        level[c] = among_others[mine].mean()
        spread += share[c] * float(among_others[mine].var()) / len(rank)
        if mine.sum() > 1:
            noise += share[c] ** 2 * float(above[mine].var(ddof=1)) / float(mine.sum())
    return spread, noise, level


def _off_strata(rank: Vector, stratum: Counts) -> tuple[float, int]:
    """Return the members' squared distances from the means of their strata, and the freedom."""
    means = np.bincount(stratum, rank) / np.maximum(np.bincount(stratum), 1)
    return float(((rank - means[stratum]) ** 2).sum()), len(rank) - len(np.unique(stratum))


def _off_line(rank: Vector, level: Vector) -> tuple[float, int]:
    """Return the members' squared distances from a line in `level`, and the degrees of freedom."""
    rank, level = rank - rank.mean(), level - level.mean()
    slope = float(rank @ level) / max(float(level @ level), 1e-12)
    return float(((rank - slope * level) ** 2).sum()), max(0, len(rank) - 2)


def _measured(off: tuple[float, int], auc: float, like: float) -> float:
    """Return the factor from the model's standard deviation of a rank to the measured one.

    Args:
        off: sum of the members' squared deviations, and its degrees of freedom.
        auc: the members' mean rank.
        like: variance of the rank of a member that is like the non-members.
    """
    model = _variance(auc) * like / UNIFORM
    if not model:
        return 1.0
    squares, freedom = off
    return float(np.sqrt((squares + PRIOR * model) / (freedom + PRIOR) / model))


def _variance(auc: float) -> float:
    """Return the variance of a rank in the binormal model with this AUC."""
    from scipy.special import ndtr, ndtri

    normal = ndtri(np.linspace(0.0005, 0.9995, 1000))
    return float(ndtr(np.sqrt(2) * ndtri(min(0.999, max(auc, 1 - auc))) + normal).var())


@lru_cache
def _quantiles(count: int) -> tuple[Vector, Vector, Vector]:
    """Return AUCs in ascending order, and the ends of the central 95 % of `count` ranks' mean."""
    from scipy.special import ndtr, ndtri

    half = np.random.default_rng(0).standard_normal((DRAWS, count))
    normal = (
        np.concatenate([half, -half]) if count > 1 else ndtri(np.linspace(0, 1, 4001)[1:-1, None])
    )
    ends = [np.percentile(ndtr(np.sqrt(2) * ndtri(auc) + normal).mean(1), LEVEL) for auc in ANSWERS]
    low, high = np.array(ends).T
    return (
        np.concatenate([1 - ANSWERS[:0:-1], ANSWERS]),
        np.concatenate([1 - high[:0:-1], low]),
        np.concatenate([1 - low[:0:-1], high]),
    )
