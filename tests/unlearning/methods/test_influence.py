"""influence: one Newton step."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import load_method
from falw_cli.unlearning.methods.influence import inverse_fisher
from tests.unlearning.methods.conftest import FORGET, RETAIN, inputs


def test_inverse_fisher_is_the_inverse() -> None:
    """Compare with the explicitly inverted matrix."""
    gradients = torch.randn(6, 4, dtype=torch.float64)
    vector = torch.randn(4, dtype=torch.float64)
    matrix = 0.1 * torch.eye(4, dtype=torch.float64) + gradients.T @ gradients / 6
    expected = torch.linalg.solve(matrix, vector)
    torch.testing.assert_close(inverse_fisher(vector, gradients, 0.1), expected)


def test_influence_raises_the_forget_loss_more_than_the_retain_loss(network: Network) -> None:
    network.module.eval()

    def losses() -> tuple[float, float]:
        return tuple(  # type: ignore[return-value]
            F.cross_entropy(network.logits(part.pixels), part.labels).item()
            for part in (FORGET, RETAIN)
        )

    before = losses()
    kind = load_method("influence")
    step = replace(inputs(network), lr=0.01)
    kind(step, kind.settings_type()).apply()
    after = losses()
    assert after[0] > before[0]
    assert after[0] - before[0] > after[1] - before[1]


def test_it_takes_no_weighting() -> None:
    assert not load_method("influence").weightable
