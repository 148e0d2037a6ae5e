"""Distance of forget samples from unseen ones of their class; needs no Retrain model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from falw_cli.evaluation.intervals import CHUNK, Vector, around
from falw_cli.evaluation.metrics import Apart
from falw_cli.evaluation.roc import Draws

PERMUTATIONS = 999


@dataclass(frozen=True)
class ClassDistance:
    """Distance of one class: as measured, by bootstrap [B], and by permutation [P]."""

    value: float
    drawn: Vector
    permuted: Vector


def class_distance(
    forget: Vector, unseen: Vector, draws: tuple[Draws, Draws], rng: np.random.Generator
) -> ClassDistance:
    """Return the distance between forget and unseen samples of one class.

    Args:
        forget, unseen: true-class probabilities, in [0, 1], [N_f] and [N_u].
        draws: how often each sample is drawn in each resample, [B, N_f] and [B, N_u].
        rng: random generator for the permutations.
    """
    value = np.concatenate([forget, unseen])
    order = np.argsort(value, kind="stable")
    steps = np.diff(value[order])
    first = np.arange(len(value)) < len(forget)

    def distances(of_forget: Vector, of_unseen: Vector) -> Vector:
        """Return n distances; args: how often each sample is on each side, [n, N] each."""
        sides = [
            np.cumsum(side[:, order], axis=1)[:, :-1] / side.sum(axis=1, keepdims=True)
            for side in (of_forget, of_unseen)
        ]
        found: Vector = np.abs(sides[0] - sides[1]) @ steps
        return found

    drawn, permuted = [], []
    for start in range(0, len(draws[0]), CHUNK):
        both = np.concatenate([part[start : start + CHUNK] for part in draws], axis=1)
        drawn.append(distances(both * first, both * ~first))
    for start in range(0, PERMUTATIONS, CHUNK):
        rows = min(CHUNK, PERMUTATIONS - start)
        mixed = rng.permuted(np.tile(first, (rows, 1)), axis=1)
        permuted.append(distances(mixed.astype(np.float64), (~mixed).astype(np.float64)))
    found = distances(first[None].astype(np.float64), (~first)[None].astype(np.float64))
    return ClassDistance(float(found[0]), np.concatenate(drawn), np.concatenate(permuted))


def combined(parts: list[ClassDistance], weights: list[int]) -> Apart:
    """Return the mean distance over classes, weighted by their forget samples.

    The interval is by stratified bootstrap, the p-value by permutations within each class.

    Args:
        parts: distances of one or more classes.
        weights: number of forget samples per class.
    """
    share = np.asarray(weights, dtype=np.float64) / sum(weights)
    value = float(sum(w * part.value for w, part in zip(share, parts, strict=True)))
    drawn = np.sum([w * part.drawn for w, part in zip(share, parts, strict=True)], axis=0)
    permuted = np.sum([w * part.permuted for w, part in zip(share, parts, strict=True)], axis=0)
    low, high = around(value, drawn)
    as_far = int((permuted >= value - 1e-12).sum())
    return Apart(
        value=value, lower=max(0.0, low), upper=min(1.0, high), chance=float(permuted.mean()),
        p_value=(1 + as_far) / (1 + len(permuted)),
    )  # fmt: skip
