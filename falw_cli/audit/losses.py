"""What unlearning cost: losses of accuracy, overall and by class."""

from __future__ import annotations

from statistics import NormalDist

from falw_cli.audit.report import Report
from falw_cli.audit.unseen import CHANCE
from falw_cli.evaluation.gap_metric import described
from falw_cli.evaluation.metrics import AccuracyChange
from falw_cli.runtime.printable import decimal, significant

HARM = 1.0
"""Loss of accuracy, in percentage points, that the headline names if it is significant."""
BELOW_RETRAIN = 0.5
"""The same loss below the lower of original and Retrain, where there are retrained models."""
CLASS_HARM = 5.0
"""Loss of a class's test accuracy, in percentage points, that is named if it is significant."""
NAMED = 3
"""Maximum number of classes named."""
SHOWN = 0.05
"""The smallest loss of accuracy that is mentioned, in percentage points: 0.1 when rounded."""
NORMAL = NormalDist()


def losses(report: Report) -> tuple[str, str]:
    """Return what unlearning cost in accuracy.

    The first text is for the headline: losses that are more than chance and large enough. The
    second has the others.
    """
    found = report.metrics
    if found.changes is None or found.after is None or found.before is None:
        return "", ""
    harm: list[str] = []
    others: list[str] = []
    for name in ("retained_test_accuracy", "retain_accuracy"):
        change: AccuracyChange | None = getattr(found.changes, name)
        if change is None or change.value > -SHOWN:
            continue
        least = -HARM
        if found.reference is not None:
            before, truth = (getattr(one, name) for one in (found.before, found.reference))
            if before is not None and truth is not None:
                least = min(0.0, truth - before) - BELOW_RETRAIN
        same = found.after.test_accuracy == getattr(found.after, name)
        label = described("test_accuracy" if same else name)[0]
        fell = f"{label} fell by {decimal(-change.value, 1, bounds=(-least,))} points"
        p_value = significant(change.p_value, 2, (CHANCE,))
        if change.p_value > CHANCE:
            chance = f", p = {p_value}" if change.p_value < 1 else ""
            others.append(f"{fell}; could be chance{chance}")
            continue
        (harm if change.value < least else others).append(
            f"{fell} ({decimal(-change.upper, 1)} to {decimal(-change.lower, 1)}; McNemar's test: "
            f"p = {p_value})"
        )
    return "; ".join(harm), "; ".join(others)


def class_losses(report: Report) -> str:
    """Return the classes whose test accuracy fell by much more than chance.

    The intervals are widened for the number of classes (Bonferroni). A class that keeps no retain
    sample is left out: its accuracy had to fall.
    """
    if report.metrics.changes is None:
        return ""
    changes = report.metrics.changes.per_class
    wider = NORMAL.inv_cdf(1 - 0.025 / max(1, len(changes))) / NORMAL.inv_cdf(0.975)
    falls = {}
    for name, one in changes.items():
        change = one.test_accuracy
        if one.retain_accuracy is None or change is None or change.value > -CLASS_HARM:
            continue
        if change.value + wider * (change.upper - change.value) < 0:
            falls[name] = change.value
    worst = sorted(falls, key=lambda name: falls[name])
    shown = [f"{name!r} by {decimal(-falls[name], 0)} points" for name in worst[:NAMED]]
    more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
    return f"test accuracy of classes fell: {', '.join(shown)}{more}" if shown else ""
