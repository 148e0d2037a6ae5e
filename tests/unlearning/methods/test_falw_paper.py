"""falw-paper: random labels with the settings of the paper."""

from __future__ import annotations

import torch

from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import load_method
from falw_cli.unlearning.methods.random_label import RandomLabel
from tests.unlearning.methods.conftest import make


def test_labels_are_those_of_random_label(network: Network) -> None:
    paper, plain = make("falw-paper", network), make("random-label", network)
    assert isinstance(paper, RandomLabel)
    assert isinstance(plain, RandomLabel)
    assert torch.equal(paper.drawn, plain.drawn)


def test_the_settings_of_the_paper_are_fixed() -> None:
    fixed = load_method("falw-paper").fixed
    assert (fixed["weighting"], fixed["target"], fixed["target_every"]) == ("falw", "exact", 1)
    assert fixed["stop"] == "epochs"
