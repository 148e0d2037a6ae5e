"""What other measurements say against a verdict of forgotten."""

from __future__ import annotations

import numpy as np

from falw_cli.audit.report import Report
from falw_cli.audit.shadows import distinguished
from falw_cli.audit.unseen import apart, same_attack
from falw_cli.evaluation.forgotten import HALF
from falw_cli.evaluation.metrics import Metrics, Pairs
from falw_cli.runtime.printable import counted

ENOUGH = 20
"""Samples from which the forgotten share of single samples is judged: a retrained model also
differs from the expectation of each."""
AT_ONCE = 1
"""Steps of relearning after which a class was masked rather than forgotten."""
LESS = 0.2
"""Fall of unseen samples' mean true-class probability that is no side effect of forgetting: random
labels on a tenth of the data cost up to 0.14 (docs/networks.md)."""
FALL = 0.25
"""Least fall of an AUC that counts, as a part of its distance from 0.5. If a model becomes less
sure of all samples, the AUC falls by less. In retrained models it falls by more, also if the list
stays detectable, such as a class."""


def contradiction(report: Report, *, only_detection: bool = False) -> str:
    """Return what contradicts the forgotten share, which is a mean over the list; "" if nothing.

    Args: only_detection, for a share that is known less precisely or says over-forgotten.
    """
    found = report.metrics
    detected = still_detected(found.before, found.after) or less_sure(found.before, found.after)
    if only_detection:
        return detected
    return distinguished(report.per_sample) or detected or came_back(report) or uneven(report.pairs)


def has_whole_class(after: Metrics | None) -> bool:
    """Return whether a class of the list keeps no sample."""
    classes = after.per_class.values() if after else ()
    return any(one.forget_count and not one.retain_count for one in classes)


def came_back(report: Report) -> str:
    """Return that a class that keeps no sample came back at once, as a masked output does.

    A retrained model learns the class anew, which takes it more steps (docs/audit.md).
    """
    found = report.comeback and report.comeback.relearned
    if not found or not has_whole_class(report.metrics.after):
        return ""
    if found.returned_after is None or found.returned_after > AT_ONCE:
        return ""
    return (
        f"after relearning {counted(found.samples, 'sample')}, the others were recognised again "
        f"within {counted(AT_ONCE, 'step')}, so that the class may only be masked"
    )


def still_detected(before: Metrics | None, after: Metrics | None) -> str:
    """Return that the list is detected about as clearly as before; "" if it is not.

    A model that is less sure of all samples, forgotten or not, has a lower true-class probability.
    An AUC that surely and clearly fell is no contradiction: retrained models detect some lists too.
    """
    if (known := same_attack(before, after)) is None:
        return ""
    kind, then, now = known
    if apart(now) != "bad":
        return ""
    if now.upper < then.lower and then.value - now.value >= FALL * (then.value - 0.5):
        return ""
    return (
        "forget samples are distinguished from unseen samples about as clearly as before "
        f"({kind}-matched AUC {now.value:.3f}, before {then.value:.3f})"
    )


def less_sure(before: Metrics | None, after: Metrics | None) -> str:
    """Return that the model is less sure of all unseen samples too; "" if it is not.

    The share compares forget samples with the original alone, so that it would count this as
    forgetting. Classes that keep no sample are left out: they should not be predicted.
    """
    if before is None or after is None:
        return ""
    pairs = [
        (before.per_class[name].unseen_probability, one.unseen_probability)
        for name, one in after.per_class.items()
        if one.retain_count != 0 and name in before.per_class
    ]
    known = [(then, now) for then, now in pairs if then is not None and now is not None]
    then, now = np.mean(known, axis=0) if known else (0.0, 0.0)
    if then - now <= LESS:
        return ""
    return (
        "the model is less sure of all samples, unseen ones included: their mean true-class "
        f"probability fell from {then:.2f} to {now:.2f}"
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
