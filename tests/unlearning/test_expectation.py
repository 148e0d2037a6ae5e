"""The expectation of forget samples: ranks, quantiles, wrong labels, edge cases."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.data.no_retain import UNKNOWN
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from falw_cli.unlearning import expectation
from falw_cli.unlearning.expectation import (
    BORROWED,
    MISLABELLED,
    Expectation,
    expect,
    look_up,
    prior_shift,
    rank_among,
    right_label_probability,
    temperature,
    with_probability,
)
from tests.engine import cpu

ONE = torch.zeros(1, dtype=torch.int64)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patterns(count: int, seed: int, noise: float = 40.0) -> Resident:
    """Return images of three classes: one pattern per class, plus noise."""
    base = torch.randint(40, 215, (3, 8, 8, 1), generator=draws(0)).float()
    label = torch.arange(count) % 3
    pixels = base[label] + noise * torch.randn(count, 8, 8, 1, generator=draws(seed))
    return Resident(pixels.clamp(0, 255).to(torch.uint8), label)


@pytest.fixture(scope="module")
def network() -> Network:
    """A model that has memorised 60 samples."""
    torch.manual_seed(0)
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    made = Network(tiny_cnn(3, 1), "tiny-cnn", ("a", "b", "c"), shown, cpu())
    data = patterns(60, 1)
    steps = torch.optim.AdamW(made.module.parameters(), lr=1e-3)
    for _ in range(30):
        steps.zero_grad()
        F.cross_entropy(made.module(made.inputs(data.pixels)), data.labels).backward()
        steps.step()
    return made


def expected(network: Network, rows: Tensor, guide: Resident) -> Expectation:
    data = patterns(60, 1)
    stays = torch.ones(60, dtype=torch.bool)
    stays[rows] = False
    retain = data.of(stays.nonzero().squeeze(1))
    kept = torch.bincount(retain.labels, minlength=3)
    return expect(network, data.of(rows), retain, guide, kept)


def test_ranks_by_hand() -> None:
    """Among four members, a value above two has rank 0.5, and a tie counts half."""
    among, label = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.zeros(4, dtype=torch.int64)
    found = rank_among(torch.tensor([2.5, 4.0, 0.0]), torch.zeros(3).long(), among, label)
    torch.testing.assert_close(found, torch.tensor([0.5, 0.875, 0.0]))


def test_a_class_with_few_samples_borrows_from_all() -> None:
    """One sample of class 0 at 0.2, four of class 1 at 0.9."""
    prob = torch.tensor([0.2, 0.9, 0.9, 0.9, 0.9])
    label = torch.tensor([0, 1, 1, 1, 1])
    none = look_up(torch.tensor([0.9]), ONE + 2, prob, label)
    assert none.item() == pytest.approx(0.9)
    one = look_up(torch.tensor([0.9]), ONE, prob, label)
    assert one.item() == pytest.approx((0.2 + BORROWED * 0.9) / (1 + BORROWED))


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), st.integers(1, 9))
def test_look_up_stays_in_range_and_is_monotonic(prob: list[float], steps: int) -> None:
    rank = torch.linspace(0, 1, steps)
    known = torch.tensor(prob)
    found = look_up(rank, torch.zeros(steps).long(), known, torch.zeros(len(prob)).long())
    assert found.min() >= known.min() - 1e-6
    assert found.max() <= known.max() + 1e-6
    assert (found.diff() >= -1e-6).all()


def test_other_classes_keep_their_proportions() -> None:
    found = with_probability(torch.tensor([[9.0, 1.0, 0.0]]), ONE, torch.tensor([0.4]))
    rest = torch.tensor([1.0, 0.0]).softmax(0)
    torch.testing.assert_close(found, torch.cat([torch.tensor([0.4]), 0.6 * rest])[None])


def test_temperature_recovers_the_scale() -> None:
    """With labels drawn from softmax(z), logits 2z need a temperature of 2."""
    logits = torch.randn(20_000, 5, generator=draws(0))
    label = torch.multinomial(logits.softmax(1), 1, generator=draws(1)).squeeze(1)
    assert temperature(2 * logits, label) == pytest.approx(2, abs=0.11)


def test_the_prior_shifts_by_the_retained_share() -> None:
    logits = torch.randn(50, 2, generator=draws(0))
    label = torch.arange(50) % 2
    shift = prior_shift(logits, label, torch.tensor([10, 5]), torch.tensor([0, 5]))
    assert shift[0] == 0
    assert shift[1] < 0


def test_the_order_of_the_list_does_not_matter(network: Network) -> None:
    rows, guide = torch.arange(12), patterns(60, 2)
    one, other = expected(network, rows, guide), expected(network, rows.flip(0), guide)
    torch.testing.assert_close(one.prediction, other.prediction.flip(0), rtol=1e-4, atol=1e-5)
    again = expected(network, rows, guide)
    assert torch.equal(one.prediction, again.prediction)


@pytest.mark.parametrize("held_out", [1, 3, 60])
@pytest.mark.parametrize("count", [1, 12])
def test_every_list_has_an_expectation(network: Network, count: int, held_out: int) -> None:
    """Lists of one sample; classes with no, one and many held-out samples."""
    found = expected(network, torch.arange(count), patterns(held_out, 2))
    assert found.prediction.isfinite().all()
    torch.testing.assert_close(found.prediction.sum(1), torch.ones(count))
    assert ((found.prob >= 0) & (found.prob <= 1)).all()


def test_a_whole_class_is_expected_to_be_unknown(network: Network) -> None:
    found = expected(network, torch.arange(0, 60, 3), patterns(60, 2))
    assert (found.prob == 0).all()
    assert not found.correct.any()


def test_right_labels_by_bayes() -> None:
    """Where wrong labels are three times as frequent as right ones, the odds are 3 x the prior."""
    right, wrong = torch.tensor([0.0, 1.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 0.0, 0.0])
    found = right_label_probability(torch.tensor([-1.0, 0.0, 2.0]), right, wrong)
    low = 0.4 * (1 - MISLABELLED)  # two of five, with the added one
    assert found[:2].tolist() == pytest.approx([low / (low + MISLABELLED)] * 2)
    assert found[2] == 1


def test_few_right_labels_say_little() -> None:
    lowest, wrong = torch.tensor([-2.0]), torch.full((1000,), -1.0)
    few, many = (
        right_label_probability(lowest, torch.ones(count), wrong).item() for count in (5, 2000)
    )
    assert few > 0.8
    assert many < 0.02


def test_wrong_labels_of_a_model_that_is_right_on_unseen_data(network: Network) -> None:
    """Every held-out sample of the class is recognised, and the mislabelled one would not be."""
    data, guide = patterns(600, 1), patterns(90, 2)
    wrong = Resident(data.pixels[1:2], ONE)
    retain = data.of(torch.arange(2, 600))
    found = expect(network, wrong, retain, guide, torch.bincount(retain.labels, minlength=3))
    prob, _ = network.confidence(guide)
    assert prob.quantile(0.1) > 0.5
    assert found.prob.item() < 0.1


def test_a_sample_with_a_wrong_label_has_a_low_expectation(network: Network) -> None:
    """An image of class 1 with label 0 ranks among the lowest of class 0."""
    data = patterns(60, 1)
    wrong = Resident(data.pixels[1:2], ONE)
    retain = data.of(torch.arange(2, 60))
    kept = torch.bincount(retain.labels, minlength=3)
    guide = patterns(90, 2)
    found = expect(network, wrong, retain, guide, kept)
    usual = expected(network, torch.arange(1), guide)
    assert found.prob.item() < usual.prob.item()


def test_held_out_members_do_not_raise_the_expectation(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without retain samples, memorisation puts the list ahead in its views."""
    listed, members, guide = patterns(60, 1, 80), patterns(61, 7, 80), patterns(300, 5, 80)
    monkeypatch.setattr(
        expectation, "view_margins", lambda _, part: torch.full((len(part),), 61.0 - len(part))
    )
    known, unknown = (
        expect(network, listed, members, guide, torch.full((3,), count))
        for count in (UNKNOWN - 1, UNKNOWN)
    )
    assert (unknown.prob <= known.prob).all()
    assert unknown.prob.mean() < known.prob.mean()
