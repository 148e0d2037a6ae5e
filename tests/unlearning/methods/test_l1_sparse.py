"""l1-sparse: the penalty."""

from __future__ import annotations

import pytest

from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import load_method
from tests.unlearning.methods.conftest import make


def test_l1_penalty_is_the_norm_and_decays_to_zero(network: Network) -> None:
    method = make("l1-sparse", network, l1=0.5)
    norm = sum(p.abs().sum().item() for p in network.module.parameters())
    found = [method.penalty(progress) for progress in (0.0, 0.5, 1.0)]
    assert [value.item() for value in found if value is not None] == pytest.approx(
        [0.5 * norm, 0.25 * norm, 0.0], rel=1e-5
    )


def test_it_takes_no_weighting() -> None:
    assert not load_method("l1-sparse").weightable
