"""scrub: the teacher is the original."""

from __future__ import annotations

from falw_cli.models.network import Network
from tests.unlearning.methods.conftest import make, seen


def test_scrub_starts_at_the_teacher(network: Network) -> None:
    network.module.eval()
    method = make("scrub", network, gamma=0)
    shown = seen(network)
    assert method.forget_loss(shown).abs().max() < 1e-5
    assert method.retain_loss(shown).abs().max() < 1e-5
