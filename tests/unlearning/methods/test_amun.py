"""amun: adversarial neighbours."""

from __future__ import annotations

import torch

from falw_cli.models.network import Network
from falw_cli.unlearning.methods.amun import adversarial_neighbours
from tests.unlearning.methods.conftest import FORGET, LABEL


def test_amun_moves_forget_samples_into_a_wrong_class_and_no_further(network: Network) -> None:
    moved, wrong = adversarial_neighbours(network, FORGET, 0.1)
    assert (wrong != LABEL).all()
    network.module.eval()
    images = network.inputs(FORGET.pixels)
    predicted = network.module(images + moved).argmax(1)
    reached = moved.flatten(1).norm(dim=1) > 0
    assert torch.equal(predicted[reached], wrong[reached])
    small, _ = adversarial_neighbours(network, FORGET, 0.01)
    assert (small.flatten(1).norm(dim=1) <= moved.flatten(1).norm(dim=1) + 1e-4).all()
