"""neggrad-plus: the sign and the share of the gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from falw_cli.models.network import Network
from tests.unlearning.methods.conftest import make, seen


def test_neggrad_plus_climbs_by_its_share(network: Network) -> None:
    shown = seen(network)
    plain = F.cross_entropy(shown.logits, shown.label, reduction="none")
    method = make("neggrad-plus", network, beta=0.8)
    torch.testing.assert_close(method.forget_loss(shown), -0.25 * plain)
    torch.testing.assert_close(method.retain_loss(shown), plain)
