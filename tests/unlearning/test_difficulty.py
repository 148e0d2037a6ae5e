"""Scores of difficulty: leave-one-out fits, margins for wrong labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from falw_cli.data.device import Resident
from falw_cli.unlearning.difficulty import RIDGE, leave_one_out, margin, wrong_margins


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_leave_one_out_is_the_fit_without_the_sample() -> None:
    """Compare the closed form with one regression per sample."""
    features = torch.randn(12, 3, generator=draws(1))
    label = torch.arange(12) % 3
    own, others = leave_one_out(features, label, 3, [features[:2] + 1])
    penalty = RIDGE * 12  # of the whole fit; the closed form does not change it

    def fit(rows: Tensor, at: Tensor) -> Tensor:
        def wide(one: Tensor) -> Tensor:
            return torch.cat([one, torch.ones(len(one), 1)], 1).double() / 3**0.5

        x, y = wide(features[rows]), F.one_hot(label[rows], 3).double()
        weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(4).double(), x.T @ y)
        return (wide(at) @ weights).float()

    every = torch.arange(12)
    for row in range(12):
        torch.testing.assert_close(own[[row]], fit(every[every != row], features[[row]]))
    torch.testing.assert_close(others, fit(every, features[:2] + 1))


def test_margins_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]])
    assert margin(scores, torch.tensor([0, 2])).tolist() == [2, -3]


def test_margins_for_wrong_labels_are_of_classes_that_are_not_the_sample_s() -> None:
    """The score of each sample's class is 1, and of the other classes 0."""
    label = torch.arange(30) % 3
    found = wrong_margins(F.one_hot(label).float(), Resident(torch.zeros(30, 8, 8, 1), label))
    assert 10 < len(found) < 30
    assert (found == -1).all()
