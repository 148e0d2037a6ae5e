"""salun: the mask."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.methods.salun import saliency_mask
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.weighting.none import NoWeighting
from tests.unlearning.methods.conftest import CLASSES, GUIDE, LABEL, backward, make


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_the_saliency_mask_takes_the_largest_share(share: float) -> None:
    magnitude = {"a": torch.rand(40, 5), "b": torch.zeros(100)}
    mask = saliency_mask(magnitude, share)
    flat = torch.cat([mask["a"].flatten(), mask["b"]])
    values = torch.cat([magnitude["a"].flatten(), magnitude["b"]])
    assert int(flat.sum()) == max(1, round(share * 300))  # ties (zeros here) are cut, too
    if share < 1:
        assert values[flat].min() >= values[~flat].max()


def test_salun_does_not_change_unmasked_weights(network: Network) -> None:
    before = deepcopy(network.module.state_dict())
    method = make("salun", network, salient=0.1)
    objective = Unlearning(
        method, NoWeighting(torch.bincount(LABEL), CLASSES, Settings()), GUIDE, 1
    )
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        backward(method, network)
        optimizer.step()
        objective.after_step(network, 1, 3)
        optimizer.zero_grad()
    assert method.mask is not None
    for name, value in network.module.named_parameters():
        still = ~method.mask[value]
        assert torch.equal(value[still], before[name][still])
    assert any((value != before[name]).any() for name, value in network.module.named_parameters())
