"""Estimates for early stopping: distance to the expectation, and the estimated gap."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.stop_estimate import StoppingSamples, best_threshold, evaluate_step
from tests.engine import cpu


def part(*samples: tuple[int, int]) -> Resident:
    """Return one-pixel samples, given as (brightness, class)."""
    pixels = torch.tensor([bright for bright, _ in samples], dtype=torch.uint8)
    return Resident(pixels.reshape(-1, 1, 1, 1), torch.tensor([c for _, c in samples]))


def expected(label: Tensor, prob: Tensor) -> Expectation:
    """Return an expectation for two classes with the given true-class probabilities."""
    prediction = torch.stack([1 - prob, prob], 1)
    prediction = torch.where(label[:, None] == 1, prediction, prediction.flip(1))
    nothing = torch.zeros(1)
    return Expectation(prediction, label, nothing, nothing, torch.ones(len(label)))


def test_a_completely_forgotten_class_has_no_heldout_accuracy_to_keep() -> None:
    forget = part((0, 2), (0, 2), (0, 1))
    retain = part((0, 0), (0, 0), (0, 1), (0, 1))
    guide = part((0, 0), (0, 1), (0, 2))
    known = Expectation(torch.zeros(3, 3), forget.labels, *torch.zeros(3, 3))
    samples = StoppingSamples.of(forget, retain, guide, torch.tensor([2, 2, 0]), known)
    assert samples.share.tolist() == pytest.approx([1, 2 / 3, 0])


def test_the_best_threshold_separates_members_from_non_members() -> None:
    member, non_member = torch.tensor([0.2, 0.8, 0.9, 0.95]), torch.tensor([0.1, 0.3, 0.7])
    assert best_threshold(member, non_member) == pytest.approx(0.8)


class Brightness(nn.Module):
    """A model that predicts class 1 above half brightness, with rising confidence."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images.flatten(1)
        return torch.cat([-bright, bright], dim=1)


def test_the_estimated_gap_by_hand() -> None:
    """All forget samples are correct and confident; half should be correct, none that confident.

    Accuracy is off by |100 - 50|, membership by |0 - 100|; retain lost 8 points, held-out 30. The
    gap is (50 + 100 + 8 + 30) / 4 = 47. The distance is the mean of |1 - 0.6| and |1 - 0.2|.
    """
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.1,))
    network = Network(
        Brightness(),
        "x",
        ("dark", "bright"),
        shown,
        cpu(),
    )
    forget, retain = part((250, 1), (255, 1)), part((245, 1), (250, 1), (255, 1), (5, 0))
    known = expected(forget.labels, torch.tensor([0.6, 0.2]))
    guide = part((200, 1), (50, 1))
    samples = StoppingSamples.of(forget, retain, guide, torch.tensor([1, 3]), known)
    before = evaluate_step(network, samples, 0, None)
    assert before.estimated_gap == pytest.approx((50 + 100) / 4)
    assert before.distance == pytest.approx(0.6, abs=1e-3)
    assert before.score == pytest.approx(before.estimated_gap + 25 * before.distance)
    assert (before.retain_accuracy, before.heldout_accuracy) == (100, 50)
    harmed = replace(before, retain_accuracy=108, heldout_accuracy=80)
    assert evaluate_step(network, samples, 1, harmed).estimated_gap == pytest.approx(47)


def test_matching_class_accuracy_alone_scores_poorly_on_a_hard_list() -> None:
    """Both cases are correct on half of the list; only one is on the expected samples."""
    forget, retain = part((250, 1), (5, 1)), part((250, 1), (255, 1), (5, 0))
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.1,))
    network = Network(Brightness(), "x", ("dark", "bright"), shown, cpu())
    guide = part((250, 1), (5, 1))
    scores = [
        evaluate_step(
            network,
            StoppingSamples.of(
                forget, retain, guide, torch.tensor([1, 2]), expected(forget.labels, prob)
            ),
            1,
            None,
        ).score
        for prob in (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    ]
    assert scores[0] < 1 < scores[1]
