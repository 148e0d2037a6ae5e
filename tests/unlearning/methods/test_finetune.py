"""finetune: training on retain samples alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import load_method
from tests.unlearning.methods.conftest import RETAIN, make, seen


def test_the_loss_is_cross_entropy_on_retain_samples_alone(network: Network) -> None:
    method = make("finetune", network)
    shown = seen(network, RETAIN)
    plain = F.cross_entropy(shown.logits, shown.label, reduction="none")
    assert torch.equal(method.retain_loss(shown), plain)
    assert not method.uses_forget


def test_it_takes_no_weighting() -> None:
    assert not load_method("finetune").weightable
