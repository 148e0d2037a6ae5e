"""Metrics of a network with known predictions: its logits are the first pixels of the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.evaluation.measurement import compare, mean_metrics, measure
from falw_cli.evaluation.predictions import EvaluationSamples
from falw_cli.models.network import Network
from tests.engine import cpu

CLASSES = ("a", "b", "c")


class FirstPixels(nn.Module):
    """A network whose logit c is `sharpness` times pixel c of the first row."""

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, images: Tensor) -> Tensor:
        return self.sharpness * images[:, 0, 0, :3]


def network(sharpness: float = 4.0) -> Network:
    shown = Preprocessing(image_size=8, resize=8, mean=(0.0,), std=(1.0,))
    return Network(
        FirstPixels(sharpness),
        "x",
        CLASSES,
        shown,
        cpu(),
    )


def part(labels: list[int], answers: list[int]) -> Resident:
    """Return images of classes `labels` that the network predicts as `answers`."""
    pixels = torch.zeros(len(labels), 8, 8, 1, dtype=torch.uint8)
    pixels[torch.arange(len(labels)), 0, answers, 0] = 255
    return Resident(pixels, torch.tensor(labels))


PARTS = EvaluationSamples(
    forget=part([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]),
    retain=part([0, 1, 2, 2], [0, 1, 2, 2]),
    test=part([0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 2]),
)


def test_accuracies_by_hand() -> None:
    found = measure(network(), PARTS, seed=0)
    assert found.forget_accuracy == pytest.approx(100 * 4 / 6)
    assert found.retain_accuracy == 100
    assert found.test_accuracy == pytest.approx(100 * 5 / 6)
    assert found.per_class["a"].forget_count == 3
    assert found.per_class["a"].forget_accuracy == pytest.approx(100 * 2 / 3)
    assert found.per_class["c"].forget_accuracy == 0
    sure = torch.tensor([4.0, 0, 0]).softmax(0)[0].item()
    assert found.per_class["b"].forget_probability == pytest.approx(sure)
    assert found.mia_attack_samples == 8
    assert found.avg_gap is None


def test_groups_vs_unseen_data_and_retrained_model() -> None:
    """Head a (3 forgotten), mid b (2), tail c (1)."""
    found = measure(network(), PARTS, seed=0)
    assert found.groups is not None
    assert (found.groups.head.classes, found.groups.tail.classes) == (["a"], ["c"])
    assert found.groups.head.unseen_deviation == pytest.approx(100 * (2 / 3 - 1 / 2))
    assert found.groups.tail.unseen_deviation == -100
    retrain = measure(network(), EvaluationSamples(part([0, 1, 2], [0, 1, 2]), *_others()), seed=0)
    compared = compare(found, retrain)
    assert compared.groups is not None
    assert compared.groups.tail.deviation == -100
    assert compared.groups.mid.deviation == 0
    assert found.groups.tail.deviation is None  # `compare` returns a copy


def test_a_class_that_keeps_nothing_is_not_compared_with_unseen_data() -> None:
    parts = replace(PARTS, kept=np.array([2, 0, 9]))
    found = measure(network(), parts, seed=0)
    assert found.groups is not None
    assert found.groups.mid.classes == ["b"]
    assert found.groups.mid.unseen_deviation is None
    assert found.groups.head.unseen_deviation is not None
    assert found.per_class["b"].retain_count == 0
    whole = measure(network(), PARTS, seed=0)
    assert whole.retained_test_accuracy == whole.test_accuracy
    assert found.retained_test_accuracy != whole.retained_test_accuracy


def test_a_class_whose_retain_samples_are_not_evaluated_is_kept() -> None:
    rare = Resident(PARTS.retain.pixels[:1], PARTS.retain.labels[:1])
    found = measure(network(), replace(PARTS, retain=rare, kept=np.array([5, 5, 5])), seed=0)
    assert found.retained_test_accuracy == found.test_accuracy


def _others() -> tuple[Resident, Resident]:
    return PARTS.retain, PARTS.test


def test_the_mean_over_references_is_per_field() -> None:
    sure, unsure = (measure(network(sharpness), PARTS, seed=0) for sharpness in (9.0, 1.0))
    mean = mean_metrics([sure, unsure])
    assert mean is not None
    assert mean.forget_accuracy == sure.forget_accuracy
    probabilities = [m.per_class["a"].forget_probability for m in (sure, unsure, mean)]
    assert None not in probabilities
    assert probabilities[2] == pytest.approx((probabilities[0] + probabilities[1]) / 2)  # type: ignore[operator]
    assert mean_metrics([]) is None


def test_without_a_forget_list_there_are_no_groups() -> None:
    empty = Resident(PARTS.forget.pixels[:0], PARTS.forget.labels[:0])
    found = measure(network(), EvaluationSamples(empty, *_others()), seed=0)
    assert found.forget_accuracy is None
    assert found.mia_efficacy is None
    assert found.groups is None
    assert found.test_accuracy is not None
