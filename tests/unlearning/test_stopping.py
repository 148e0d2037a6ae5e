"""When to stop: the distance, the guard on utility, the best moment."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from falw_cli.architectures import tiny_cnn
from falw_cli.config import Preprocessing
from falw_cli.data.batches import Resident
from falw_cli.network import Network, make_fabric
from falw_cli.unlearning import stopping
from falw_cli.unlearning.stopping import PATIENCE, Look, View, Watch, forget_distance, wasserstein

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


def pixels(count: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 8, 8, 1), generator=torch.Generator().manual_seed(1)
    ).byte()


@pytest.fixture
def network() -> Network:
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    return Network(tiny_cnn(3, 1), "x", ("a", "b", "c"), shown, make_fabric("cpu", "fp32"))


def view() -> View:
    part = Resident(pixels(6), torch.arange(6) % 3)
    return View.of(part, part, part, 3)


def test_a_class_that_goes_as_a_whole_has_no_heldout_accuracy_to_keep() -> None:
    forget = Resident(pixels(3), torch.tensor([2, 2, 1]))
    retain = Resident(pixels(4), torch.tensor([0, 0, 1, 1]))
    guide = Resident(pixels(3), torch.tensor([0, 1, 2]))
    assert View.of(forget, retain, guide, 3).share.tolist() == pytest.approx([1, 2 / 3, 0])


BEFORE = Look(0, 0.3, 99.0, 70.0)


def watched(
    network: Network, monkeypatch: pytest.MonkeyPatch, moments: list[Look], max_loss: float = 3.0
) -> tuple[Watch, int | None]:
    """A watch that sees `moments`, one a step; the step at which it ended the run."""
    looks = iter(moments)
    monkeypatch.setattr(stopping, "look", lambda *_: next(looks))
    monkeypatch.setattr(stopping, "LOOKS", len(moments))
    watch = Watch(view(), BEFORE, max_loss)
    for done in range(1, len(moments) + 1):
        with torch.no_grad():
            next(network.module.parameters()).fill_(done)
        if watch.look(network, done, len(moments)):
            return watch, done
    return watch, None


def curve(*distances: float, **more: float) -> list[Look]:
    return [replace(BEFORE, step=n, distance=d, **more) for n, d in enumerate(distances, 1)]


def test_the_weights_of_the_best_moment_come_back(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, ended = watched(network, monkeypatch, curve(0.3, 0.1, 0.15, 0.2))
    assert ended is None
    assert watch.settle(network)
    assert next(network.module.parameters()).unique().item() == 2
    assert "step 2" in watch.reason()


def test_of_moments_that_are_alike_the_later_is_kept(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.1 and 0.115 are alike; 0.13 is alike 0.115 but not the closest."""
    watch, _ = watched(network, monkeypatch, curve(0.2, 0.1, 0.115, 0.13))
    assert watch.settle(network)
    assert next(network.module.parameters()).unique().item() == 3


def test_patience_ends_the_run_in_its_last_quarter(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best at step 1 of 16: patience is over at step 6, the last quarter begins at 12."""
    _, ended = watched(network, monkeypatch, curve(0.1, *[0.2] * 15))
    assert ended == 12
    _, ended = watched(network, monkeypatch, curve(*[0.2] * 8, 0.1, *[0.2] * 7))
    assert ended == 9 + PATIENCE


@pytest.mark.parametrize("harm", [{"retain_accuracy": 95.9}, {"heldout_accuracy": 66.9}])
def test_the_guard_passes_over_harmed_moments(
    network: Network, monkeypatch: pytest.MonkeyPatch, harm: dict[str, float]
) -> None:
    """A moment that lost more than three points of either accuracy is never kept."""
    closer = replace(BEFORE, step=2, distance=0.01, **harm)
    watch, _ = watched(network, monkeypatch, [*curve(0.2), closer])
    assert watch.best is not None
    assert watch.best.step == 1
    watch, _ = watched(network, monkeypatch, [closer])
    assert not watch.settle(network)


def test_state_comes_back_whole(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, _ = watched(network, monkeypatch, curve(0.2, 0.1, 0.15))
    again = Watch(view(), BEFORE, 3.0)
    again.restore(watch.state())
    assert again.curve == watch.curve
    assert again.best == watch.best
    assert again.settle(network)
    assert next(network.module.parameters()).unique().item() == 2
