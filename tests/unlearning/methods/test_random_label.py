"""random-label: labels drawn once among the other classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import Settings, StepSamples
from falw_cli.unlearning.methods.random_label import RandomLabel
from tests.unlearning.methods.conftest import inputs, make, seen


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_random_labels_are_never_true_and_drawn_once(number: int, seed: int) -> None:
    label = torch.arange(200) % number
    network = Network(nn.Identity(), "x", tuple(map(str, range(number))), Preprocessing(), None)  # type: ignore[arg-type]
    some = Resident(label, label)

    def drawn() -> Tensor:
        return RandomLabel(inputs(network, seed, forget=some), Settings()).drawn

    assert (drawn() != label).all()
    assert ((drawn() >= 0) & (drawn() < number)).all()
    assert torch.equal(drawn(), drawn())


def test_random_labels_spread_over_all_other_classes() -> None:
    label = torch.zeros(9000, dtype=torch.long)
    network = Network(nn.Identity(), "x", tuple("abcdefghij"), Preprocessing(), None)  # type: ignore[arg-type]
    drawn = RandomLabel(inputs(network, forget=Resident(label, label)), Settings()).drawn
    counts = torch.bincount(drawn, minlength=10)
    assert counts[0] == 0
    assert (counts[1:] > 850).all()


def test_random_label_loss_is_cross_entropy_against_the_drawn(network: Network) -> None:
    method = make("random-label", network)
    assert isinstance(method, RandomLabel)
    shown = seen(network)
    position = torch.tensor([3, 0, 1, 2])
    some = StepSamples(shown.logits, position, shown.label, shown.images)
    expected = F.cross_entropy(shown.logits, method.drawn[position], reduction="none")
    assert torch.equal(method.forget_loss(some), expected)
