"""Calibration: how well a network's confidence matches its accuracy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from falw_cli.evaluation.intervals import CHUNK, Vector

BINS = 15


def calibration_error(
    top: Vector, correct: Vector, counts: npt.NDArray[np.uint8] | None = None
) -> Vector:
    """Return the expected calibration error in 15 equal bins (Guo et al., ICML 2017), in [0, 1].

    Args:
        top: probability of the most likely class, [N].
        correct: 1 where the most likely class is the true one, else 0; [N].
        counts: how often each sample is drawn in each resample, [B, N]; None: each once.

    Returns:
        The error of each resample, [B], or [1] without `counts`; NaN without samples.
    """
    if not len(top):
        return np.full(1, np.nan)
    if counts is None:
        counts = np.ones((1, len(top)), dtype=np.uint8)
    place = np.minimum((top * BINS).astype(np.int64), BINS - 1)
    off = np.zeros((len(top), BINS))
    off[np.arange(len(top)), place] = correct - top
    chunks = range(0, len(counts), CHUNK)
    sums = [np.abs(counts[i : i + CHUNK].astype(np.float64) @ off).sum(axis=1) for i in chunks]
    found: Vector = np.concatenate(sums) / counts.sum(axis=1)
    return found
