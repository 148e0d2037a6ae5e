"""regun: the class means."""

from __future__ import annotations

import torch

from falw_cli.unlearning.interfaces import StepSamples
from falw_cli.unlearning.methods.regun import class_means
from tests.unlearning.methods.conftest import FORGET, LABEL, make, make_network


def test_regun_distils_towards_the_mean_of_the_class() -> None:
    prob = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    found = class_means(prob, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([[0.7, 0.3], [0.1, 0.9]]))
    borrowed = class_means(prob, torch.tensor([0, 0, 0]), 2)
    torch.testing.assert_close(borrowed[1], prob.mean(0))
    network = make_network()
    method = make("regun", network)
    there = method.reference[LABEL].log()  # type: ignore[attr-defined]
    loss = method.forget_loss(StepSamples(there, torch.arange(4), LABEL, FORGET.pixels))
    torch.testing.assert_close(loss, torch.zeros(4))
