"""FaLW's equations: golden vectors, cases computed by hand, and properties."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.unlearning.interfaces import load_weighting
from falw_cli.unlearning.target import Target, class_statistics, share_below
from falw_cli.unlearning.weighting import balance_factor, forgetting_aware_weight
from falw_cli.unlearning.weighting.class_balanced import effective_number
from falw_cli.unlearning.weighting.falw import FalwSettings, FalwWeighting
from falw_cli.unlearning.weighting.falw_quantile import shrunken_quantile

GOLDEN = Path(__file__).parent / "falw_weights.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]
NOTHING = Target.of(torch.empty(0), torch.empty(0).long(), 1)


def known(values: list[float | None]) -> torch.Tensor:
    """Return the values that are not null."""
    return torch.tensor([value for value in values if value is not None])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden_vectors(case: dict[str, Any]) -> None:
    """Compare float32 results with values computed in 40-digit arithmetic."""
    number = case["num_classes"]
    mu, sigma, count = class_statistics(
        torch.tensor(case["heldout_prob"]), torch.tensor(case["heldout_label"]), number
    )
    seen = count > 0
    assert seen.tolist() == [value is not None for value in case["mu"]]
    assert torch.allclose(mu[seen], known(case["mu"]), atol=1e-5)
    assert torch.allclose(sigma[seen], known(case["sigma"]), atol=1e-5)
    balance = balance_factor(torch.tensor(case["forget_counts"]), number, case["tau"])
    assert torch.allclose(balance, torch.tensor(case["balance"]), atol=1e-5)
    weight = forgetting_aware_weight(
        torch.tensor(case["forget_prob"]), torch.tensor(case["forget_label"]), mu, sigma, balance
    )
    assert torch.allclose(weight, torch.tensor(case["weight"]), atol=1e-5)


def test_the_weighting_class_matches_the_golden_vectors() -> None:
    case = CASES[0]
    number = case["num_classes"]
    settings = FalwSettings(tau=case["tau"])
    weighting = FalwWeighting(torch.tensor(case["forget_counts"]), number, settings)
    assert torch.allclose(weighting.balance, torch.tensor(case["balance"]), atol=1e-5)


def test_weights_by_hand() -> None:
    """Two classes, 3 and 1 forget samples, tau 1: B = (4 / (2*3), 4 / (2*1)) = (2/3, 2)."""
    balance = balance_factor(torch.tensor([3, 1]), 2, 1.0)
    assert torch.allclose(balance, torch.tensor([2 / 3, 2.0]))
    mu, sigma = torch.tensor([0.5, 0.5]), torch.tensor([0.1, 0.1])
    label = torch.tensor([0, 1, 1])
    weight = forgetting_aware_weight(torch.tensor([0.6, 0.6, 0.4]), label, mu, sigma, balance)
    tanh = math.tanh(1)
    assert torch.allclose(weight, torch.tensor([1 + tanh**1.5, 1 + tanh**0.5, 1 - tanh**0.5]))


def test_tau_zero_removes_the_balance() -> None:
    assert torch.equal(balance_factor(torch.tensor([300, 20, 1, 0]), 4, 0.0), torch.ones(4))


def test_no_gradient_flows_through_the_weight() -> None:
    prob = torch.tensor([0.9, 0.2], requires_grad=True)
    weight = forgetting_aware_weight(
        prob, torch.tensor([0, 0]), torch.tensor([0.5]), torch.tensor([0.2]), torch.ones(1)
    )
    assert not weight.requires_grad
    (weight * prob).sum().backward()
    assert prob.grad is not None
    assert torch.equal(prob.grad, weight)


def test_a_class_without_spread_has_weight_one() -> None:
    """Without held-out samples, or with identical ones, the weight is 1."""
    mu, sigma, count = class_statistics(torch.tensor([0.3, 0.3, 0.3]), torch.tensor([0, 0, 0]), 2)
    assert count.tolist() == [3, 0]
    assert sigma.tolist() == [0, 0]
    weight = forgetting_aware_weight(
        torch.tensor([0.9, 0.9]), torch.tensor([0, 1]), mu, sigma, torch.ones(2)
    )
    assert weight.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("counts", "number", "tau"), [([1, 2], 3, 0.1), ([1, 2], 2, -0.1)], ids=["shape", "tau"]
)
def test_wrong_arguments_are_refused(counts: list[int], number: int, tau: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        balance_factor(torch.tensor(counts), number, tau)


unit = st.floats(0, 1, width=32)


@given(prob=unit, mu=unit, sigma=st.floats(0, 1, width=32), balance=st.floats(0.25, 4, width=32))
def test_weight_is_between_zero_and_two_and_follows_the_sign_of_z(
    prob: float, mu: float, sigma: float, balance: float
) -> None:
    weight = forgetting_aware_weight(
        torch.tensor([prob]),
        torch.tensor([0]),
        torch.tensor([mu]),
        torch.tensor([sigma]),
        torch.tensor([balance]),
    ).item()
    assert 0 <= weight <= 2
    if sigma > 0:
        side = (weight > 1) - (weight < 1)
        assert side in (0, (prob > mu) - (prob < mu))


@given(counts=st.lists(st.integers(1, 1000), min_size=2, max_size=20), tau=st.floats(0, 1))
def test_rarer_classes_get_larger_factors(counts: list[int], tau: float) -> None:
    balance = balance_factor(torch.tensor(counts), len(counts), tau)
    order = torch.tensor(counts).argsort(descending=True)
    assert (balance[order].diff() >= -1e-6).all()


# The other weightings


def counts_and(kind: str, counts: torch.Tensor, **settings: float) -> Any:
    weighting = load_weighting(kind)
    return weighting(counts, len(counts), weighting.settings_type(**settings))


@pytest.mark.parametrize("kind", ["class-balanced", "inverse-frequency"])
@given(counts=st.lists(st.integers(0, 500), min_size=2, max_size=10).filter(any))
def test_class_weights_have_mean_one_and_favour_rare_classes(kind: str, counts: list[int]) -> None:
    number = torch.tensor(counts)
    label = torch.repeat_interleave(torch.arange(len(counts)), number)
    weight = counts_and(kind, number).weight(torch.ones(len(label)), label, NOTHING)
    assert weight.mean().item() == pytest.approx(1, rel=1e-4)
    present = number > 0
    of_class = torch.stack([weight[label == c][0] for c in torch.where(present)[0].tolist()])
    assert (of_class[number[present].argsort()].diff() <= 1e-6).all()


def test_inverse_frequency_gives_each_class_the_same_sum() -> None:
    label = torch.tensor([0] * 6 + [1] * 3 + [3])
    weight = counts_and("inverse-frequency", torch.bincount(label)).weight(
        torch.ones(10), label, NOTHING
    )
    sums = [weight[label == c].sum().item() for c in (0, 1, 3)]
    assert sums == pytest.approx([10 / 3] * 3)


def test_effective_number_by_hand() -> None:
    """With beta 0.5, 1, 2 and 3 samples count as 1, 1.5 and 1.75 effective ones."""
    assert effective_number(torch.tensor([1, 2, 3]), 0.5).tolist() == [1, 1.5, 1.75]


def test_satimp_peaks_between_saturation_and_importance() -> None:
    weighting = counts_and("satimp", torch.tensor([3]), saturation=5.0, importance=1.0)
    prob = torch.tensor([0.0, 5 / 6, 1.0, 0.5])
    weight = weighting.weight(prob, torch.zeros(4).long(), NOTHING)
    expected = 0.5**5 * 0.5 / ((5 / 6) ** 5 * (1 / 6))
    assert weight.tolist() == pytest.approx([0, 1, 0, expected], rel=1e-5)


def test_confidence_aware_by_hand() -> None:
    """Shares 0.8 and 0.2, pivot 0.75: exp((0.75 - p) * (1 - f')), f' = f below it, 1 - f above."""
    weighting = counts_and("confidence-aware", torch.tensor([8, 2]))
    prob, label = torch.tensor([0.25, 0.25, 0.95, 0.95, 0.75]), torch.tensor([0, 1, 0, 1, 0])
    expected = [0.5 * 0.2, 0.5 * 0.8, -0.2 * 0.8, -0.2 * 0.2, 0]
    found = weighting.weight(prob, label, NOTHING)
    assert found.log().tolist() == pytest.approx(expected, abs=1e-6)


# falw-quantile


def unseen(prob: list[float], label: list[int], number: int = 2) -> Target:
    return Target.of(torch.tensor(prob), torch.tensor(label), number)


def test_quantile_counts_ties_half() -> None:
    found = share_below(torch.tensor([0.1, 0.2, 0.5, 0.9]), torch.tensor([0.2, 0.2, 0.6, 0.7]))
    assert found.tolist() == [0, 0.25, 0.5, 1]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, 1 / 4), (1, (1 + 5 * 2 / 5) / 6), (2, (2 + 5 * 3 / 6) / 7), (5, (5 + 5 * 6 / 9) / 10)],
)
def test_a_class_with_few_unseen_samples_borrows_from_all(count: int, expected: float) -> None:
    """A sample at 0.5; class 0 has `count` unseen at 0.1, class 1 three at 0.9 and one at 0.1.

    Its quantile is 1 in its class and (count + 1) / (count + 4) overall, which counts as five.
    """
    target = unseen([0.1] * count + [0.9, 0.9, 0.9, 0.1], [0] * count + [1] * 4)
    found = shrunken_quantile(torch.tensor([0.5]), torch.tensor([0]), target, 5.0)
    assert found.item() == pytest.approx(expected)


@given(prob=st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30), balance=st.floats(0, 1))
def test_quantile_weights_rise_with_confidence_from_zero_to_two(
    prob: list[float], balance: float
) -> None:
    weighting = counts_and("falw-quantile", torch.tensor([5, 1]), tau=balance)
    target = unseen([0.2, 0.4, 0.6, 0.8], [0, 0, 1, 1])
    sure = torch.tensor(prob).sort().values
    weight = weighting.weight(sure, torch.zeros(len(prob)).long(), target)
    assert ((weight >= 0) & (weight <= 2)).all()
    assert (weight.diff() >= -1e-6).all()


def test_quantile_weight_is_two_above_all_and_one_at_the_median() -> None:
    weighting = counts_and("falw-quantile", torch.tensor([5, 5]))
    target = unseen([0.2, 0.4, 0.6, 0.8], [0, 0, 0, 0])
    weight = weighting.weight(torch.tensor([0.1, 0.5, 0.9]), torch.zeros(3).long(), target)
    assert weight.tolist() == pytest.approx([0, 1, 2], abs=1e-6)
