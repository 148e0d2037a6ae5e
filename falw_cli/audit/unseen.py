"""The comparison of forget samples with unseen samples, as a part of the verdict."""

from __future__ import annotations

from typing import Literal

from falw_cli.audit.report import Report
from falw_cli.audit.rows import figure
from falw_cli.evaluation.metrics import AllMetrics, Figure, Metrics
from falw_cli.runtime.printable import decimal

Level = Literal["good", "mixed", "bad", "unknown"]
"""What a finding means for the request."""
MARGIN = 0.1
"""Distance of the AUC from 0.5 up to which forget and unseen samples count as alike."""
CHANCE = 0.05
"""Significance level: larger p-values are consistent with chance."""


def against_unseen(report: Report) -> tuple[Level, str]:
    """Compare forget samples with unseen ones of their difficulty, where known, or class."""
    after, before = report.metrics.after, report.metrics.before
    if after is None or after.mia is None:
        return "unknown", ""
    auc = after.mia.difficulty_matched or after.mia.auc
    kind = "difficulty" if after.mia.difficulty_matched else "class"
    figures = f"{kind}-matched AUC {figure(auc, 3, (0.5 - MARGIN, 0.5, 0.5 + MARGIN))}"
    if after.distance is not None:
        one = after.distance
        p_value = decimal(one.p_value, 3, bounds=(CHANCE,))
        figures += f"; distance {one.value:.3f}, by chance {one.chance:.3f} (p = {p_value})"
    level = apart(auc)
    if level == "bad":
        return level, f"forget samples still look like training samples: {figures}"
    if level == "mixed":
        return level, f"forget samples look less familiar than unseen samples: {figures}"
    if level == "unknown":
        return level, f"{_unclear(auc)}: {figures}"
    alike = "cannot be distinguished from unseen samples"
    by_distance = after.distance is not None and after.distance.p_value <= CHANCE
    if by_distance or auc.lower > 0.5 or auc.upper < 0.5:
        alike = f"differ little from unseen samples (an AUC above {0.5 + MARGIN:g} counts)"
    text = f"forget samples {alike}: {figures}"
    original = before.mia if before is not None else None
    if original and apart(original.difficulty_matched or original.auc) == "good":
        # A test that finds nothing in the original is no evidence of forgetting.
        return "unknown", f"{text}; same for the original, so here this test has no power"
    return level, text


def more_detected(found: AllMetrics) -> bool:
    """Return whether the list is surely more familiar to the model than to its original.

    Both are compared with unseen samples, by the same attack.
    """
    known = same_attack(found.before, found.after)
    return known is not None and known[2].lower > known[1].upper


def same_attack(
    before: Metrics | None, after: Metrics | None
) -> tuple[Literal["difficulty", "class"], Figure, Figure] | None:
    """Return what an attack matches by, and its AUC before and after; None if one is missing.

    It is the difficulty-matched attack if both models have its AUC.
    """
    if before is None or after is None or before.mia is None or after.mia is None:
        return None
    then, now = before.mia.difficulty_matched, after.mia.difficulty_matched
    if then and now:
        return "difficulty", then, now
    return "class", before.mia.auc, after.mia.auc


def _unclear(auc: Figure) -> str:
    """Return what an AUC shows whose interval is too wide for a conclusion."""
    if auc.lower > 0.5 or auc.upper < 0.5:
        than = "more" if auc.lower > 0.5 else "less"
        return (
            f"forget samples look {than} familiar than unseen samples, but the list is too short "
            "to show whether the difference is small or large"
        )
    wide = max(auc.value - auc.lower, auc.upper - auc.value)
    high = min(1.0, 0.5 + MARGIN + wide)
    return (
        "forget and unseen samples: no conclusion, since with a list of this size, a difference "
        f"with an AUC from {1 - high:.2f} to {high:.2f} would not be seen"
    )


def apart(auc: Figure) -> Level:
    """Return where an AUC's interval is: within MARGIN of 0.5, above, below, or across."""
    if auc.lower > 0.5 + MARGIN:
        return "bad"
    if auc.upper < 0.5 - MARGIN:
        return "mixed"
    return "good" if auc.lower >= 0.5 - MARGIN and auc.upper <= 0.5 + MARGIN else "unknown"
