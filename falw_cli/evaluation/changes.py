"""Changes that unlearning caused on retain and test samples."""

from __future__ import annotations

from falw_cli.evaluation import intervals
from falw_cli.evaluation.metrics import AccuracyChange, Changes, ClassChange, Figure
from falw_cli.evaluation.predictions import Predictions
from falw_cli.evaluation.scores import SamplePredictions, Vector


def paired_change(difference: Vector) -> Figure:
    """Return the mean of paired differences [N] in [-1, 1], in percentage points."""
    return Figure.of(float(difference.mean()), intervals.paired(difference), 100)


def accuracy_change(before: SamplePredictions, after: SamplePredictions) -> AccuracyChange | None:
    """Return the accuracy change on the same samples, with McNemar's exact test (1947)."""
    from scipy.stats import binomtest

    if not len(before):
        return None
    difference: Vector = after.correct - before.correct
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    p_value = float(binomtest(worse, better + worse).pvalue) if better + worse else 1.0
    return AccuracyChange(**dict(paired_change(difference)), p_value=p_value)


def changes_between(before: Predictions, after: Predictions) -> Changes:
    """Return how often both models predict the same class, and each class's accuracy change."""
    pairs = {"retain": (before.retain, after.retain), "test": (before.test, after.test)}

    def agreement(one: SamplePredictions, other: SamplePredictions) -> Figure | None:
        if not len(one):
            return None
        share = float((one.predicted == other.predicted).mean())
        return Figure.of(share, intervals.wilson(share, len(one)), 100)

    def change(one: SamplePredictions, other: SamplePredictions, c: int) -> Figure | None:
        rows = one.labels == c
        difference: Vector = other.correct[rows] - one.correct[rows]
        return paired_change(difference) if len(difference) else None

    return Changes(
        retain_accuracy=accuracy_change(*pairs["retain"]),
        retained_test_accuracy=accuracy_change(
            *(one.of_rows(before.kept_test) for one in pairs["test"])
        ),
        retain_agreement=agreement(*pairs["retain"]),
        test_agreement=agreement(*pairs["test"]),
        per_class={
            name: ClassChange(
                retain_accuracy=change(*pairs["retain"], c), test_accuracy=change(*pairs["test"], c)
            )
            for c, name in enumerate(before.classes)
        },
    )
