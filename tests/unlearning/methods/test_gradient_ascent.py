"""gradient-ascent: the sign of the gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from falw_cli.models.network import Network
from tests.unlearning.methods.conftest import make, seen


def test_gradient_ascent_climbs(network: Network) -> None:
    shown = seen(network)
    plain = F.cross_entropy(shown.logits, shown.label, reduction="none")
    method = make("gradient-ascent", network)
    assert torch.equal(method.forget_loss(shown), -plain)
    assert not method.uses_retain
