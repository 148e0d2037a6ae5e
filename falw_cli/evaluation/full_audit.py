"""The full audit of a model: all metrics, with intervals and the comparison with Retrain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from falw_cli.evaluation import gap, intervals
from falw_cli.evaluation.changes import changes_between
from falw_cli.evaluation.distance import FEW_FORGET, FEW_UNSEEN, distance_of
from falw_cli.evaluation.forgotten import BOUNDS, HALF, ExpectedProbabilities
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.measurement import compare, mean_metrics, metrics_of
from falw_cli.evaluation.membership import difficulty_matched, membership_of, no_trace
from falw_cli.evaluation.metrics import AllMetrics, Figure, Groups, Interval, Metrics
from falw_cli.evaluation.predictions import Predictions, Resamples
from falw_cli.evaluation.scores import Vector
from falw_cli.runtime.printable import decimal

SHORTEST = {0.01: 100, 0.001: 1000}
"""Minimum number of unseen samples, by false-positive rate, for a reliable true-positive rate."""

TRAINED = "predicts the list like training samples"
"""Part of the warning on a reference that was probably trained on the list."""


@dataclass(frozen=True)
class Audit:
    """Metrics of all models of a run, with warnings about figures of too few samples."""

    metrics: AllMetrics
    warnings: tuple[str, ...]


def full_audit(
    before: Predictions | None,
    after: Predictions,
    references: Sequence[Predictions],
    weights: gap.Weights,
    expected: ExpectedProbabilities | None = None,
) -> Audit:
    """Measure all metrics with their intervals.

    Args:
        before: predictions of the original, if there is one.
        after: predictions of the audited model.
        references: predictions of the Retrain models.
        weights: weights of the metrics in the Avg. Gap.
        expected: what a model that never saw the list would predict, for the forgotten share.
    """
    resamples = Resamples.of(after)
    original = [before] if before is not None else []
    models = [*original, after, *references]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy and the SVC release the GIL
        examined = pool.map(lambda one: _examined(one, resamples, weights), models)
        whole = dict(zip(map(id, models), examined, strict=True))
    retrains = [whole[id(one)] for one in references]
    mean = mean_metrics(retrains)
    scatter: dict[int, Vector] = {}
    if mean is not None and gap.avg_gap(whole[id(after)], mean, weights) is not None:
        scatter = {id(one): gap.noise(weights, one, resamples) for one in models}

    def against(one: Predictions) -> Metrics:
        found = compare(whole[id(one)], mean, weights)
        if mean is None:
            return found
        if scatter:
            others = np.stack([scatter[id(other)] for other in references])
            between = scatter[id(one)] - others.mean(axis=0)
            lower, upper = gap.gap_interval(found, mean, between, weights)
            more = {"avg_gap": Interval(lower=lower, upper=upper)}
            found = found.model_copy(update={"intervals": found.intervals | more})
        return _with_deviations(found, one, references)

    seeds = None
    if scatter:
        pairs = [(whole[id(one)], scatter[id(one)]) for one in (after, *references)]
        seeds = gap.against_seeds(pairs[0], pairs[1:], weights)
    compared = {id(one): against(one) for one in (*original, after)}
    if expected is not None and before is not None:
        for one in (*original, after):
            found = compared[id(one)]
            if found.mia is not None:
                matched = difficulty_matched(expected, before.test.prob, one)
                mia = found.mia.model_copy(update={"difficulty_matched": matched})
                compared[id(one)] = found.model_copy(update={"mia": mia})
        original_mia = compared[id(before)].mia
        if original_mia is not None and no_trace(original_mia):
            expected = None  # a share of nothing
        else:
            compared[id(after)] = expected.add_shares(compared[id(after)], after.forget.prob)
    metrics = AllMetrics(
        before=compared[id(before)] if before is not None else None,
        after=compared[id(after)],
        reference=mean,
        noise_floor=gap.noise_floor(retrains, weights),
        changes=changes_between(before, after) if before is not None else None,
        seeds=seeds,
    )
    warnings = [*_warnings(after), *_trained_on_the_list(references, expected)]
    return Audit(metrics, tuple(warnings))


def _trained_on_the_list(
    references: Sequence[Predictions], expected: ExpectedProbabilities | None
) -> list[str]:
    """Return a warning for each reference that predicts the list like training samples."""
    shares = [expected.share(one.forget.prob) for one in references] if expected else []
    return [
        f"reference {number} {TRAINED}: its forgotten share is "
        f"{decimal(share.value, 0, bounds=BOUNDS)} %; was it trained on the list?"
        for number, share in enumerate(shares, 1)
        if share is not None and share.upper < HALF
    ]


def _examined(predictions: Predictions, resamples: Resamples, weights: gap.Weights) -> Metrics:
    """Return all metrics of a model that need no other model."""
    found = metrics_of(predictions)
    ends, extra = dict(found.intervals), {}
    for metric in map(
        load_metric, ("calibration_error", "mia_efficacy", "retained_test_accuracy", *weights)
    ):
        name, value = metric.name, None if metric.read else metric.measure(predictions)
        if value is None or name in ends:
            continue
        interval = metric.interval(predictions, value, resamples)
        if metric.extra:
            extra[name] = Figure(value=value, **dict(interval))
        else:
            ends[name] = interval
    return found.model_copy(
        update={
            "intervals": ends,
            "mia": membership_of(predictions, resamples),
            "distance": distance_of(predictions, resamples),
            "extra_metrics": extra,
        }
    )


def _with_deviations(
    found: Metrics, own: Predictions, references: Sequence[Predictions]
) -> Metrics:
    """Add intervals to the groups' deviations from Retrain."""
    if found.groups is None:
        return found
    differences = {
        "deviation": own.forget.correct - np.mean([r.forget.correct for r in references], axis=0),
        "probability_deviation": own.forget.prob
        - np.mean([r.forget.prob for r in references], axis=0),
    }
    groups = {}
    for name, classes in own.thirds.items():
        group = getattr(found.groups, name)
        rows = np.isin(own.forget.labels, classes)
        more = {
            key: Interval.scaled(intervals.paired(values[rows]), 100 if key == "deviation" else 1)
            for key, values in differences.items()
            if rows.any()
        }
        groups[name] = group.model_copy(update={"intervals": group.intervals | more})
    return found.model_copy(update={"groups": Groups(**groups)})


def _warnings(predictions: Predictions) -> list[str]:
    """Return warnings about figures that are based on too few samples."""
    found = []
    count = predictions.forget_count
    unseen = np.bincount(predictions.test.labels, minlength=len(count))
    few = np.flatnonzero((count > 0) & ((count < FEW_FORGET) | (unseen < FEW_UNSEEN)))
    if len(few):
        shown = ", ".join(repr(predictions.classes[c]) for c in few[:5]) + (
            f" and {len(few) - 5} more" if len(few) > 5 else ""
        )
        found.append(
            f"fewer than {FEW_FORGET} forget or {FEW_UNSEEN} test samples: class {shown}; "
            "no per-class distance and AUC"
        )
    comparable = int(unseen[count > 0].sum())
    for rate, least in SHORTEST.items():
        if 0 < comparable < least:
            found.append(
                f"no true-positive rate at {100 * rate:g} % false positives: {comparable} test "
                f"samples of the list's classes, {least:,} are needed"
            )
    return found
