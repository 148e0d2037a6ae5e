"""What other measurements say against a verdict of forgotten."""

from __future__ import annotations

import numpy as np

from falw_cli.audit.report import Report
from falw_cli.audit.unseen import apart
from falw_cli.evaluation.forgotten import HALF
from falw_cli.evaluation.metrics import Metrics, Pairs
from falw_cli.evaluation.per_sample import PerSample

EVIDENT = 90.0
"""Membership, percent, from which a sample counts as distinguished: 16 shadow models, which are
usual, can just show it."""
MOST = 0.5
"""Share of the list from which shadow models contradict a verdict."""
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
    """Return that the list is told from unseen samples as well as before; "" if it is not.

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
    share = 100 * moved.sum() / max(wanted.sum(), 1e-9)
    if share >= HALF:
        return ""
    return (
        f"only {share:.0f} % of what had to go from single samples has gone, and others went "
        "further than expected"
    )


def distinguished(found: PerSample | None) -> str:
    """Return how much of the list shadow models distinguish from never seen; "" if less than MOST.

    Args: found, the report's section, if it has one.
    """
    if found is None:
        return ""
    if found.samples:
        evident = sum(round(one.after.membership, 6) >= EVIDENT for one in found.samples)
        if evident < MOST * len(found.samples):
            return ""
        return (
            f"shadow models distinguish {evident} of {len(found.samples)} samples from samples "
            f"never seen (at a false-positive rate of {found.smallest_rate:.0f} % or more)"
        )
    attacks = {"U-LiRA": found.ulira, "RMIA": found.rmia}
    shares = {name: one.distinguished.value for name, one in attacks.items() if one}
    name = max(shares, key=lambda one: shares[one], default="")
    if not name or shares[name] < 100 * MOST:
        return ""
    return (
        f"{name} distinguishes {shares[name]:.0f} % of the samples from samples never seen (at a "
        "false-positive rate of 1 %)"
    )
