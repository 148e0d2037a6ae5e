"""95 % intervals of shares, of differences, and of bootstrap estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Interval = tuple[float, float]
"""Lower and upper end."""

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
LEVEL = (2.5, 97.5)
"""Percentiles between which 95 % of the draws lie."""
DRAWS = 400
"""Bootstrap resamples; an interval's end then varies by about a tenth of the interval's width."""
CHUNK = 40
"""Resamples processed at a time, which bounds memory."""


def wilson(share: float, count: float) -> Interval:
    """Return the Wilson interval of a share in [0, 1] of `count` (effective) samples.

    It is conservative for means of values in [0, 1] that are not all 0 or 1.

    Raises:
        ValueError: `count` is not above 0.
    """
    if count <= 0:
        raise ValueError(f"count is {count}: an interval needs at least one sample")
    spread = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    middle, scale = share + Z**2 / (2 * count), 1 + Z**2 / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def paired(differences: Vector) -> Interval:
    """Return the interval of the mean of paired differences in [-1, 1], [N].

    Bonett and Price (2012): add one sample of each sign, then take the normal interval. Without
    them, a few samples that all agree would have an interval of width 0.
    """
    count = len(differences) + 2
    mean = float(differences.sum()) / count
    spread = (float((differences**2).sum()) + 2) / count - mean**2
    half = Z * math.sqrt(spread / count)
    return max(-1.0, mean - half), min(1.0, mean + half)


def apart(one: float, of_one: Interval, other: float, of_other: Interval) -> Interval:
    """Return the interval of a difference of independent shares: Newcombe (1998), method 10."""
    difference = one - other
    lower = math.hypot(one - of_one[0], of_other[1] - other)
    upper = math.hypot(of_one[1] - one, other - of_other[0])
    return difference - lower, difference + upper


def resample(labels: Counts, rng: np.random.Generator, draws: int = DRAWS) -> npt.NDArray[np.uint8]:
    """Return how often each sample is drawn in each resample, [draws, N], stratified by class.

    Args:
        labels: class of each sample, [N].
        rng: random generator for the draws.
        draws: number of resamples.
    """
    counts = np.empty((draws, len(labels)), dtype=np.uint8)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        drawn = rng.integers(len(rows), size=(draws, len(rows)))
        drawn += np.arange(draws)[:, None] * len(rows)
        found = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        counts[:, rows] = found.clip(max=255)
    return counts


def means(counts: npt.NDArray[np.uint8], values: Vector) -> Vector:
    """Return the mean of `values` [N] in each resample of counts [draws, N]. -> [draws]"""
    chunks = range(0, len(counts), CHUNK)
    total = [counts[i : i + CHUNK].astype(np.float32) @ values.astype(np.float32) for i in chunks]
    return np.concatenate(total).astype(np.float64) / len(values)


def around(value: float, draws: Vector) -> Interval:
    """Return the interval of a figure from its bootstrap draws [draws], centred on the figure.

    The draws of distances and calibration errors are biased upwards, so only their spread around
    their own mean is used.
    """
    low, high = np.percentile(draws - draws.mean(), LEVEL)
    return value + float(low), value + float(high)


def of_mean_distance(differences: Vector, noise: Vector, weights: Sequence[float]) -> Interval:
    """Return the interval of f(d), the weighted mean of |d_k| over K figures, by inverting a test.

    |d| is never below 0, so noise alone makes it large, and the usual intervals miss a small true
    value. This interval has each true f(d) for which the measured one lies in the central 95 % of
    the noisy draws. The shape of d is unknown. Three shapes are tried, and the interval has what
    any of them allows: as measured, all in the largest difference, and in proportion to the noise.

    Args:
        differences: measured differences between two models' figures, [K].
        noise: deviations of these differences over resamples, [draws, K], mean 0.
        weights: weights of the figures, [K].
    """
    share = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    found = float(np.abs(differences) @ share)
    largest = np.abs(differences) == np.abs(differences).max()
    sizes = np.linspace(0.0, found + 2 * float(np.percentile(np.abs(noise) @ share, 99.9)), 240)
    ends = []
    for shape in (differences, differences * largest, noise.std(axis=0)):
        if not (size := float(np.abs(shape) @ share)):
            continue
        drawn = np.abs(sizes[:, None, None] * shape / size + noise) @ share
        low, high = np.percentile(drawn, LEVEL, axis=1)
        ends += sizes[(low <= found) & (found <= high)].tolist()
    # If noise alone gives more than was measured, no true value fits: fall back to 0 and `found`.
    return min(ends, default=0.0), max(ends, default=found)
