"""Metrics of a network on the forget, retain and test samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from falw_cli.data.no_retain import UNKNOWN
from falw_cli.evaluation.deviation import class_means, mixed_mean
from falw_cli.evaluation.gap import FIELD, Weights, avg_gap
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.intervals import apart, wilson
from falw_cli.evaluation.metrics import ClassMetrics, GroupMetrics, Groups, Interval, Metrics
from falw_cli.evaluation.mia import attack_size
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.evaluation.scores import Counts, SamplePredictions
from falw_cli.models.network import Network


def measure(network: Network, parts: EvaluationSamples, seed: int) -> Metrics:
    """Return the metrics of a network that need neither a reference nor resampling.

    Args:
        network: the model; evaluated in eval mode, without augmentation.
        parts: forget, retain and test samples.
        seed: random seed of the attack's subsample.
    """
    return metrics_of(Predictions.of(network, parts, seed))


def metrics_of(predictions: Predictions) -> Metrics:
    """Return the metrics of `measure` from a network's predictions."""
    forget, retain, test = predictions.forget, predictions.retain, predictions.test
    kept = test.correct[predictions.kept_test]
    metrics = {name: load_metric(name) for name in (*FIELD, "calibration_error")}
    values = {name: metric.measure(predictions) for name, metric in metrics.items()}
    groups = {name: _group(predictions, members) for name, members in predictions.thirds.items()}
    return Metrics.model_validate(
        {
            **values,
            "retained_test_accuracy": 100 * float(kept.mean()) if len(kept) else None,
            "mia_attack_samples": 2 * attack_size(len(retain), len(test)),
            "intervals": {
                name: metrics[name].interval(predictions, value)
                for name in ("forget_accuracy", "retain_accuracy", "test_accuracy")
                if (value := values[name]) is not None
            },
            "per_class": _per_class(predictions),
            "groups": groups if len(forget) else None,
        }
    )


def compare(metrics: Metrics, reference: Metrics | None, weights: Weights = FIELD) -> Metrics:
    """Add Avg. Gap and the groups' deviations from a reference to the metrics."""
    if reference is None:
        return metrics
    groups = metrics.groups
    if groups is not None and reference.groups is not None:
        groups = Groups(
            **{
                name: _deviate(getattr(groups, name), getattr(reference.groups, name))
                for name in Groups.model_fields
            }
        )
    gap = avg_gap(metrics, reference, weights)
    return metrics.model_copy(update={"avg_gap": gap, "groups": groups})


def mean_metrics(several: Sequence[Metrics]) -> Metrics | None:
    """Return the mean of each field over several models; None without models.

    The intervals cover the variation of the samples, not of the models; see `Seeds` for the latter.
    """
    if not several:
        return None
    return Metrics.model_validate(_mean_of([metrics.model_dump() for metrics in several]))


def _mean_of(values: Sequence[object]) -> object:
    first = values[0]
    if isinstance(first, dict):
        common = [key for key in first if all(key in value for value in values)]  # type: ignore[operator]
        return {key: _mean_of([value[key] for value in values]) for key in common}  # type: ignore[index]
    if isinstance(first, (list, tuple)):
        return [_mean_of(column) for column in zip(*values, strict=True)]
    if isinstance(first, float):
        return float(np.mean(values))  # type: ignore[arg-type]
    return first


def _known(count: int) -> int | None:
    return count if count < UNKNOWN else None


def _wilson(share: float, count: float, unit: float = 1) -> Interval:
    return Interval.scaled(wilson(float(share), count), unit)


def _per_class(predictions: Predictions) -> dict[str, ClassMetrics]:
    number, count = len(predictions.classes), predictions.forget_count
    forget, retain, test = predictions.forget, predictions.retain, predictions.test
    columns = {
        "forget_accuracy": (forget, forget.correct, 100),
        "retain_accuracy": (retain, retain.correct, 100),
        "test_accuracy": (test, test.correct, 100),
        "forget_probability": (forget, forget.prob, 1),
        "unseen_probability": (test, test.prob, 1),
    }
    means = {n: class_means(v, s.labels, number) for n, (s, v, _) in columns.items()}
    sizes = {n: np.bincount(s.labels, minlength=number) for n, (s, _, _) in columns.items()}
    return {
        name: ClassMetrics.model_validate(
            {
                "forget_count": int(count[c]),
                "retain_count": _known(int(predictions.retain_count[c])),
                **{
                    key: None if np.isnan(values[c]) else float(columns[key][2] * values[c])
                    for key, values in means.items()
                },
                "intervals": {
                    key: _wilson(values[c], sizes[key][c], columns[key][2])
                    for key, values in means.items()
                    if sizes[key][c]
                },
            }
        )
        for c, name in enumerate(predictions.classes)
    }


def _group(predictions: Predictions, members: list[int]) -> GroupMetrics:
    forget, test, count = predictions.forget, predictions.test, predictions.forget_count
    # Weight unseen data to the forget samples' class mix, so that class sizes shift nothing.
    own = _mixed(forget, count, members)
    # A class that keeps no retain sample is not to be predicted as unseen data of it are.
    kept = [c for c in members if predictions.retain_count[c]]
    mine, unseen = (_mixed(seen, count, kept) for seen in (forget, test))
    size = int(count[members].sum())
    accuracy, probability = own["correct"], own["prob"]
    intervals = {}
    if accuracy is not None and probability is not None:
        intervals["forget_accuracy"] = _wilson(accuracy, size, 100)
        intervals["forget_probability"] = _wilson(probability, size)
        if mine["correct"] is not None and unseen["correct"] is not None:
            both = (
                (mine["correct"], int(count[kept].sum())),
                (unseen["correct"], _effective(test, count, kept)),
            )
            (a, of_a), (b, of_b) = ((share, wilson(share, number)) for share, number in both)
            intervals["unseen_deviation"] = Interval.scaled(apart(a, of_a, b, of_b), 100)
    return GroupMetrics(
        classes=[predictions.classes[c] for c in members],
        forget_count=size,
        forget_accuracy=None if accuracy is None else 100 * accuracy,
        forget_probability=probability,
        deviation=None,
        probability_deviation=None,
        unseen_deviation=_difference(mine["correct"], unseen["correct"], 100),
        unseen_probability_deviation=_difference(mine["prob"], unseen["prob"]),
        intervals=intervals,
    )


def _mixed(seen: SamplePredictions, count: Counts, members: list[int]) -> dict[str, float | None]:
    """Return the means over classes, weighted to the forget set's class mix."""
    number = len(count)
    return {
        key: mixed_mean(class_means(getattr(seen, key), seen.labels, number), count, members)
        for key in ("correct", "prob")
    }


def _effective(seen: SamplePredictions, count: Counts, members: list[int]) -> float:
    """Return the effective number of samples of a mean weighted to the forget set's class mix."""
    there = np.bincount(seen.labels, minlength=len(count))
    both = [c for c in members if count[c] and there[c]]
    share = count[both] / count[both].sum()
    return float(1 / (share**2 / there[both]).sum())


def _deviate(group: GroupMetrics, reference: GroupMetrics) -> GroupMetrics:
    accuracy = _difference(group.forget_accuracy, reference.forget_accuracy)
    probability = _difference(group.forget_probability, reference.forget_probability)
    update = {"deviation": accuracy, "probability_deviation": probability}
    return group.model_copy(update=update)


def _difference(one: float | None, other: float | None, unit: float = 1) -> float | None:
    return None if one is None or other is None else unit * (one - other)
