"""Each base method's defining property."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.unlearning.methods.finetune import Finetune
from falw_cli.unlearning.methods.gradient_ascent import GradientAscent
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.registry import METHODS, WEIGHTINGS, load_method, load_weighting

LABEL = torch.tensor([0, 1, 2, 2])
LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_every_registered_name_loads() -> None:
    assert all(load_method(name).defaults is not None for name in METHODS)
    assert all(load_weighting(name).needs_target in (True, False) for name in WEIGHTINGS)


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_random_labels_are_never_true_and_drawn_once(number: int, seed: int) -> None:
    label = torch.arange(200) % number

    def drawn() -> torch.Tensor:
        return RandomLabel(label, number, torch.Generator().manual_seed(seed)).drawn

    assert (drawn() != label).all()
    assert ((drawn() >= 0) & (drawn() < number)).all()
    assert torch.equal(drawn(), drawn())


def test_random_labels_spread_over_all_other_classes() -> None:
    label = torch.zeros(9000, dtype=torch.long)
    drawn = RandomLabel(label, 10, torch.Generator().manual_seed(0)).drawn
    counts = torch.bincount(drawn, minlength=10)
    assert counts[0] == 0
    assert (counts[1:] > 850).all()


def test_random_label_loss_is_cross_entropy_against_the_drawn() -> None:
    method = RandomLabel(LABEL, 3, torch.Generator().manual_seed(0))
    position = torch.tensor([3, 0])
    expected = F.cross_entropy(LOGITS[:2], method.drawn[position], reduction="none")
    assert torch.equal(method.forget_loss(LOGITS[:2], position), expected)


def test_gradient_ascent_climbs() -> None:
    method = GradientAscent(LABEL, 3, torch.Generator())
    position = torch.arange(4)
    assert torch.equal(
        method.forget_loss(LOGITS, position), -F.cross_entropy(LOGITS, LABEL, reduction="none")
    )
    assert not method.uses_retain


def test_finetune_has_nothing_to_weight() -> None:
    assert not Finetune.uses_forget
    assert Finetune(LABEL, 3, torch.Generator()).forget_loss(LOGITS[:0], LABEL[:0]).numel() == 0
