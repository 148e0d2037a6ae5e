"""U-LiRA, RMIA and KLoM: per-sample attacks and distances from an ensemble of models.

Each of M shadow models unlearned half of the N forget samples and never saw the other half.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Members = npt.NDArray[np.bool_]
Sides = tuple[Members, Members]
"""Models that unlearned each sample, and models that never saw it, [M, N] each."""

GAMMA = 2.0
"""RMIA: minimum ratio by which a sample must exceed a population sample."""
BINS, LEAST, REACH = 20, 1e-5, 100.0
"""KLoM: number of histogram bins, minimum share of a bin, and clipping limit of margins."""
TINY = 1e-15


def margin(loss: Vector) -> Vector:
    """Return the log-odds log(p / (1 - p)) of the true class from its cross-entropy in nats.

    LiRA (Carlini et al., S&P 2022) and KLoM use it, since it is nearly normal over models.
    """
    safe = np.maximum(loss, TINY)
    found: Vector = -safe - np.log(-np.expm1(-safe))
    return found


def halves(models: int, count: int, rng: np.random.Generator) -> Members:
    """Draw which models unlearn each sample: half of them per sample, [M, N].

    Args:
        models: number of models, even.
        count: number of forget samples, N.
        rng: random generator.
    """
    place = rng.random((models, count)).argsort(axis=0)
    return place < models // 2


def left_out(members: Members, row: int, rng: np.random.Generator) -> Sides:
    """Return the sides without the attacked model, both of the same size.

    The means of a smaller side vary more, which alone would reveal the attacked model. So for each
    sample, a random model of the other side is left out too.
    """
    order = np.where(members == members[row], -1.0, rng.random(members.shape))
    gone = np.zeros_like(members)
    gone[row] = True
    np.put_along_axis(gone, order.argmax(axis=0)[None], True, axis=0)
    return members & ~gone, ~members & ~gone


def ulira(target: Vector, margins: Matrix, sides: Sides) -> Vector:
    """U-LiRA (Hayes et al., arXiv 2403.01218): likelihood ratio, unlearned to never seen, [N].

    Margins are modelled as normal, with a mean per sample and side and one variance per side, as in
    LiRA with few models.

    Args:
        target: margins under the attacked model, [N].
        margins: margins under the shadow models, [M, N].
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
    """RMIA (Zarifzadeh et al., ICML 2024), online: share of the population that a sample exceeds.

    Args:
        target: true-class probability of the samples under the attacked model, [N].
        population: true-class probability of unseen samples, [Z].
        probs, of_population: the same under the shadow models, [M, N] and [M, Z].
        sides: see `Sides`.

    Returns:
        Shares in [0, 1], [N].
    """
    inside, outside = (np.where(side, probs, 0).sum(axis=0) / side.sum(axis=0) for side in sides)
    ratio = target / np.maximum((inside + outside) / 2, TINY)
    others = np.sort(population / np.maximum(of_population.mean(axis=0), TINY))
    found: Vector = np.searchsorted(others, ratio / GAMMA, side="right") / len(others)
    return found


def klom(unlearned: Matrix, retrained: Matrix) -> Vector:
    """KLoM (Georgiev et al., arXiv 2410.23232): KL(unlearned || retrained) of margins, [N] nats.

    Args:
        unlearned, retrained: margins of each sample under each of the ensembles, [M, N].
    """
    one, other = (np.clip(part, -REACH, REACH) for part in (unlearned, retrained))
    low = np.minimum(one.min(axis=0), other.min(axis=0))
    wide = np.maximum(one.max(axis=0), other.max(axis=0)) - low
    p, q = (_histogram(part, low, np.where(wide > 0, wide, 1.0)) for part in (one, other))
    ratio = np.log(np.where(p > 0, p, 1.0) / np.maximum(q, LEAST))
    found: Vector = np.where(p > 0, p * ratio, 0.0).sum(axis=0)
    return found


def _histogram(values: Matrix, low: Vector, wide: Vector) -> Matrix:
    """Return the share of each column in each of BINS equal bins, [BINS, N]."""
    place = np.minimum(((values - low) / wide * BINS).astype(np.int64), BINS - 1)
    shares: Matrix = np.stack([(place == b).mean(axis=0) for b in range(BINS)])
    return shares


def split(values: Matrix, members: Members) -> tuple[Matrix, Matrix]:
    """Split each column into members and non-members, [M / 2, N] each."""
    order = np.argsort(~members, axis=0, kind="stable")
    sorted_values = np.take_along_axis(values, order, axis=0)
    half = len(values) // 2
    return sorted_values[:half], sorted_values[half:]
