"""A network and the splits -> its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from falw_cli.data.device import Samples, place
from falw_cli.data.splits import Splits
from falw_cli.evaluation.deviation import class_means, mixed_mean, thirds
from falw_cli.evaluation.gap import avg_gap
from falw_cli.evaluation.membership import attack_size, mia_efficacy
from falw_cli.evaluation.metrics import ClassMetrics, GroupMetrics, Groups, Metrics
from falw_cli.network import Network

Vector = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """The parts that metrics are taken on, on the device."""

    forget: Samples
    retain: Samples
    test: Samples

    @classmethod
    def of(cls, parts: Splits, device: torch.device) -> Judged:
        """The judged parts of a run, moved to the device."""
        return cls(*(place(one, device) for one in (parts.forget, parts.judged, parts.test)))


@dataclass(frozen=True)
class Seen:
    """What a network makes of one part: N samples."""

    labels: Counts
    correct: Vector
    """100 where the largest logit is the true class's, else 0; [N]."""
    prob: Vector
    """True-class probability, [N]."""


def measure(network: Network, parts: Judged, seed: int) -> Metrics:
    """All metrics of a network but those that need a reference.

    Args:
        network: the model; taken in eval mode, without augmentation.
        parts: forget, retain and test samples.
        seed: of the attack's subsample.
    """
    forget, retain, test = (
        _look(network, part) for part in (parts.forget, parts.retain, parts.test)
    )
    count = np.bincount(forget.labels, minlength=len(network.classes))
    return Metrics(
        forget_accuracy=_mean(forget.correct),
        retain_accuracy=_mean(retain.correct),
        test_accuracy=_mean(test.correct),
        mia_efficacy=mia_efficacy(forget.prob, retain.prob, test.prob, seed),
        mia_attack_samples=2 * attack_size(len(retain.prob), len(test.prob)),
        per_class=_per_class(network.classes, count, forget, retain, test),
        groups=_groups(network.classes, count, forget, test) if len(forget.labels) else None,
    )


def compare(metrics: Metrics, reference: Metrics | None) -> Metrics:
    """The metrics with what a reference adds: Avg. Gap and the groups' deviations."""
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
    return metrics.model_copy(update={"avg_gap": avg_gap(metrics, reference), "groups": groups})


def mean_metrics(several: Sequence[Metrics]) -> Metrics | None:
    """Field by field, the mean over several models; None of none."""
    if not several:
        return None
    return Metrics.model_validate(_mean_of([metrics.model_dump() for metrics in several]))


def _mean_of(values: Sequence[object]) -> object:
    first = values[0]
    if isinstance(first, dict):
        return {key: _mean_of([value[key] for value in values]) for key in first}  # type: ignore[index]
    if isinstance(first, float):
        return float(np.mean(values))  # type: ignore[arg-type]
    return first


def _look(network: Network, part: Samples) -> Seen:
    prob, right = network.confidence(part)
    correct = right.double() * 100
    return Seen(part.labels.cpu().numpy(), correct.cpu().numpy(), prob.double().cpu().numpy())


def _mean(values: Vector) -> float | None:
    return float(values.mean()) if len(values) else None


def _per_class(
    classes: Sequence[str], count: Counts, forget: Seen, retain: Seen, test: Seen
) -> dict[str, ClassMetrics]:
    number = len(classes)
    columns = {
        "forget_accuracy": class_means(forget.correct, forget.labels, number),
        "retain_accuracy": class_means(retain.correct, retain.labels, number),
        "test_accuracy": class_means(test.correct, test.labels, number),
        "forget_probability": class_means(forget.prob, forget.labels, number),
        "unseen_probability": class_means(test.prob, test.labels, number),
    }
    return {
        name: ClassMetrics(
            forget_count=int(count[c]),
            **{key: _known(values[c]) for key, values in columns.items()},
        )
        for c, name in enumerate(classes)
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _groups(classes: Sequence[str], count: Counts, forget: Seen, test: Seen) -> Groups:
    number = len(classes)
    correct = class_means(forget.correct, forget.labels, number)
    prob = class_means(forget.prob, forget.labels, number)
    unseen_correct = class_means(test.correct, test.labels, number)
    unseen_prob = class_means(test.prob, test.labels, number)

    def group(members: list[int]) -> GroupMetrics:
        # Unseen data is mixed as the forget samples are, so that the classes alone shift nothing.
        of = [mixed_mean(m, count, members) for m in (correct, unseen_correct, prob, unseen_prob)]
        return GroupMetrics(
            classes=[classes[c] for c in members],
            forget_count=int(count[members].sum()),
            forget_accuracy=of[0],
            forget_probability=of[2],
            deviation=None,
            probability_deviation=None,
            unseen_deviation=_difference(of[0], of[1]),
            unseen_probability_deviation=_difference(of[2], of[3]),
        )

    head, mid, tail = thirds(count)
    return Groups(head=group(head), mid=group(mid), tail=group(tail))


def _deviate(group: GroupMetrics, reference: GroupMetrics) -> GroupMetrics:
    return group.model_copy(
        update={
            "deviation": _difference(group.forget_accuracy, reference.forget_accuracy),
            "probability_deviation": _difference(
                group.forget_probability, reference.forget_probability
            ),
        }
    )


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
