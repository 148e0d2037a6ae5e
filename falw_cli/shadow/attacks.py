"""U-LiRA, RMIA and KLoM: what an ensemble of models tells of each forget sample.

M shadow models each unlearned half of the N forget samples and never saw the other half.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Members = npt.NDArray[np.bool_]
Sides = tuple[Members, Members]
"""Of each sample, the models that unlearned it and those that never saw it, [M, N] each."""

GAMMA = 2.0
"""RMIA: a sample must be so much likelier than one of the population."""
BINS, LEAST, REACH = 20, 1e-5, 100.0
"""KLoM: bins of a histogram, the least share of one, and where margins are cut off."""
TINY = 1e-15


def margin(loss: Vector) -> Vector:
    """log(p / (1 - p)) of the true class from its cross-entropy, nats: the logit less all others'.

    LiRA (Carlini et al., S&P 2022) and KLoM look at it, since it is nearly normal over models.
    """
    safe = np.maximum(loss, TINY)
    found: Vector = -safe - np.log(-np.expm1(-safe))
    return found


def halves(models: int, count: int, rng: np.random.Generator) -> Members:
    """Which model unlearns which sample: each sample half of the models, [M, N].

    Args:
        models: even.
        count: forget samples, N.
        rng: of the draw.
    """
    place = rng.random((models, count)).argsort(axis=0)
    return place < models // 2


def left_out(members: Members, row: int, rng: np.random.Generator) -> Sides:
    """The sides without one model, which is to be attacked, and as large as each other.

    Were one smaller, its means would scatter more, and that alone would give the model away: so of
    each sample another model goes, of the side that the attacked one is not on.
    """
    order = np.where(members == members[row], -1.0, rng.random(members.shape))
    gone = np.zeros_like(members)
    gone[row] = True
    np.put_along_axis(gone, order.argmax(axis=0)[None], True, axis=0)
    return members & ~gone, ~members & ~gone


def ulira(target: Vector, margins: Matrix, sides: Sides) -> Vector:
    """U-LiRA (Hayes et al., arXiv 2403.01218): how much likelier unlearned than never seen, [N].

    Normal distributions of margins, a mean a sample and side, one variance a side, as LiRA takes it
    from few models.

    Args:
        target: margins under the model that is attacked, [N].
        margins: under the shadow models, [M, N].
        sides: see `Sides`.

    Returns:
        Log-likelihood ratios.
    """
    ratio = np.zeros(len(target))
    for side, sign in zip(sides, (1, -1), strict=True):
        count = side.sum(axis=0)
        mean = np.where(side, margins, 0).sum(axis=0) / count
        off = np.where(side, margins - mean, 0)
        variance = max(float((off**2).sum()) / max(1, int((count - 1).sum())), 1e-12)
        ratio += sign * (-((target - mean) ** 2) / (2 * variance) - 0.5 * np.log(variance))
    return ratio


def rmia(
    target: Vector, population: Vector, probs: Matrix, of_population: Matrix, sides: Sides
) -> Vector:
    """RMIA (Zarifzadeh et al., ICML 2024), online: share of the population a sample stands above.

    Args:
        target: true-class probability of the samples under the attacked model, [N].
        population: of unseen samples, [Z].
        probs, of_population: the same under the shadow models, [M, N] and [M, Z].
        sides: see `Sides`.

    Returns:
        In [0, 1], [N].
    """
    inside, outside = (np.where(side, probs, 0).sum(axis=0) / side.sum(axis=0) for side in sides)
    ratio = target / np.maximum((inside + outside) / 2, TINY)
    others = np.sort(population / np.maximum(of_population.mean(axis=0), TINY))
    found: Vector = np.searchsorted(others, ratio / GAMMA, side="right") / len(others)
    return found


def klom(unlearned: Matrix, retrained: Matrix) -> Vector:
    """KLoM (Georgiev et al., arXiv 2410.23232): KL(unlearned || retrained) of margins, [N] nats.

    Args:
        unlearned, retrained: margins of each sample under either ensemble, [M, N].
    """
    one, other = (np.clip(part, -REACH, REACH) for part in (unlearned, retrained))
    low = np.minimum(one.min(axis=0), other.min(axis=0))
    wide = np.maximum(one.max(axis=0), other.max(axis=0)) - low
    p, q = (_histogram(part, low, np.where(wide > 0, wide, 1.0)) for part in (one, other))
    ratio = np.log(np.where(p > 0, p, 1.0) / np.maximum(q, LEAST))
    found: Vector = np.where(p > 0, p * ratio, 0.0).sum(axis=0)
    return found


def _histogram(values: Matrix, low: Vector, wide: Vector) -> Matrix:
    """Share of each column in each of BINS equal bins, [BINS, N]."""
    place = np.minimum(((values - low) / wide * BINS).astype(np.int64), BINS - 1)
    shares: Matrix = np.stack([(place == b).mean(axis=0) for b in range(BINS)])
    return shares


def split(values: Matrix, members: Members) -> tuple[Matrix, Matrix]:
    """The columns by who is a member, [M / 2, N] each."""
    order = np.argsort(~members, axis=0, kind="stable")
    sorted_values = np.take_along_axis(values, order, axis=0)
    half = len(values) // 2
    return sorted_values[:half], sorted_values[half:]
