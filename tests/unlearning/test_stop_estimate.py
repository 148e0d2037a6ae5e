"""A look at a model: the distance to unseen data and the estimated gap to a Retrain model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

from falw_cli.config import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.network import Network
from falw_cli.unlearning.stop_estimate import (
    View,
    best_threshold,
    forget_distance,
    look,
    wasserstein,
)
from tests.engine import cpu

unit = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20)


@given(unit, unit)
def test_wasserstein_agrees_with_scipy(one: list[float], other: list[float]) -> None:
    found = wasserstein(torch.tensor(one), torch.tensor(other))
    assert found == pytest.approx(wasserstein_distance(one, other), abs=1e-6)


@given(unit)
def test_a_sample_is_no_distance_from_itself(one: list[float]) -> None:
    assert wasserstein(torch.tensor(one), torch.tensor(one)) == 0


def test_forget_distance_by_hand() -> None:
    """Class 0: 1 against 0.5; class 1, three samples: 0.2 against 0.1. (0.5 + 3 * 0.1) / 4."""
    forget = torch.tensor([1.0, 0.2, 0.2, 0.2]), torch.tensor([0, 1, 1, 1])
    unseen = torch.tensor([0.5, 0.5, 0.1]), torch.tensor([0, 0, 1])
    assert forget_distance(forget, unseen, 2) == pytest.approx(0.2)


def test_a_class_without_unseen_samples_is_held_against_all() -> None:
    forget = torch.tensor([1.0]), torch.tensor([1])
    assert forget_distance(forget, (torch.tensor([0.25, 0.75]), torch.zeros(2).long()), 2) == 0.5


def part(*samples: tuple[int, int]) -> Resident:
    """Samples (brightness, class) of one pixel."""
    pixels = torch.tensor([bright for bright, _ in samples], dtype=torch.uint8)
    return Resident(pixels.reshape(-1, 1, 1, 1), torch.tensor([c for _, c in samples]))


def test_a_class_that_goes_as_a_whole_has_no_heldout_accuracy_to_keep() -> None:
    forget = part((0, 2), (0, 2), (0, 1))
    retain = part((0, 0), (0, 0), (0, 1), (0, 1))
    guide = part((0, 0), (0, 1), (0, 2))
    assert View.of(forget, retain, guide, torch.tensor([2, 2, 0])).share.tolist() == pytest.approx(
        [1, 2 / 3, 0]
    )


def test_unseen_samples_count_as_their_class_goes() -> None:
    """Three of class 0 go, one of class 1: two unseen ones of class 0 count 3/8 each."""
    forget = part((0, 0), (0, 0), (0, 0), (0, 1))
    guide = part((0, 0), (0, 0), (0, 1))
    view = View.of(forget, part((0, 0)), guide, torch.tensor([1, 0]))
    assert view.mix.tolist() == pytest.approx([3 / 8, 3 / 8, 1 / 4])


def test_a_class_without_unseen_samples_stands_on_the_pool() -> None:
    """One of class 0 and one of class 1 go; class 1 has no unseen samples."""
    view = View.of(part((0, 0), (0, 1)), part((0, 0)), part((0, 0), (0, 0)), torch.tensor([1, 0]))
    assert view.mix.tolist() == pytest.approx([1 / 2, 1 / 2])


def test_the_best_threshold_parts_members_from_strangers() -> None:
    member, stranger = torch.tensor([0.2, 0.8, 0.9, 0.95]), torch.tensor([0.1, 0.3, 0.7])
    assert best_threshold(member, stranger) == pytest.approx(0.8)


class Brightness(nn.Module):
    """Class 1 from half of full brightness on, surer the brighter."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images.flatten(1)
        return torch.cat([-bright, bright], dim=1)


def test_the_estimated_gap_by_hand() -> None:
    """Forget: all right and all sure; unseen of the class: half right, none as sure as retain.

    |100 - 50| of accuracy, |0 - 100| of membership; retain lost 8 points, held-out 30, a quarter
    each: (50 + 100 + 8 + 30) / 4 = 47.
    """
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.1,))
    network = Network(
        Brightness(),
        "x",
        ("dark", "bright"),
        shown,
        cpu(),
    )
    forget, retain = part((250, 1), (255, 1)), part((245, 1), (250, 1), (255, 1), (5, 0))
    view = View.of(forget, retain, part((200, 1), (50, 1)), torch.tensor([1, 3]))
    before = look(network, view, 0, None)
    assert before.estimated_gap == pytest.approx((50 + 100) / 4)
    assert (before.retain_accuracy, before.heldout_accuracy) == (100, 50)
    harmed = replace(before, retain_accuracy=108, heldout_accuracy=80)
    assert look(network, view, 1, harmed).estimated_gap == pytest.approx(47)
