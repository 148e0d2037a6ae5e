"""What other measurements say against a verdict of forgotten."""

from __future__ import annotations

import numpy as np

from falw_cli.audit.report import Report
from falw_cli.audit.shadows import distinguished
from falw_cli.audit.unseen import apart
from falw_cli.evaluation.forgotten import HALF
from falw_cli.evaluation.metrics import Metrics, Pairs

ENOUGH = 20
"""Samples from which the forgotten share of single samples is judged: a retrained model also
differs from the expectation of each."""
SAME = 0.01
"""Fall of an AUC up to which it counts as unchanged."""


def contradiction(report: Report) -> str:
    """Return what contradicts the forgotten share, which is a mean over the list; "" if nothing."""
    found = report.metrics
    return (
        distinguished(report.per_sample)
        or still_detected(found.before, found.after)
        or uneven(report.pairs)
    )


def still_detected(before: Metrics | None, after: Metrics | None) -> str:
    """Return that the list differs from unseen samples as clearly as before; "" if it does not.

    A model that is less sure of all samples, forgotten or not, has a lower true-class probability.
    """
    if before is None or after is None or before.mia is None or after.mia is None:
        return ""
    now = after.mia.difficulty_matched or after.mia.auc
    then = before.mia.difficulty_matched or before.mia.auc
    if apart(now) != "bad" or now.value < then.value - SAME:
        return ""
    return (
        "forget samples are distinguished from unseen samples no worse than before (AUC "
        f"{now.value:.3f}, before {then.value:.3f})"
    )


def uneven(pairs: Pairs | None) -> str:
    """Return that a part of the list has not moved, while others moved too far; "" if not so."""
    if pairs is None or len(pairs.after) < ENOUGH:
        return ""
    before, expected, after = map(np.array, (pairs.before, pairs.expected, pairs.after))
    wanted = np.maximum(before - expected, 0)
    moved = np.clip(before - after, 0, wanted)
    if moved.sum() >= wanted.sum() * HALF / 100:  # also if nothing had to go
        return ""
    share = 100 * moved.sum() / wanted.sum()
    return (
        f"only {share:.0f} % of what had to go from single samples has gone, and others went "
        "further than expected"
    )
