"""FaLW's equations against golden vectors, hand-worked cases and properties."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.unlearning.target import class_statistics
from falw_cli.unlearning.weighting import balance_factor, forgetting_aware_weight
from falw_cli.unlearning.weighting.falw import FalwWeighting

GOLDEN = Path(__file__).parent / "falw_weights.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]


def known(values: list[float | None]) -> torch.Tensor:
    """The values that are not null."""
    return torch.tensor([value for value in values if value is not None])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden_vectors(case: dict[str, Any]) -> None:
    """Expected values computed in 40-digit arithmetic, reproduced in float32."""
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


def test_the_weighting_that_runs_is_the_one_of_the_golden_vectors() -> None:
    case = CASES[0]
    number = case["num_classes"]
    weighting = FalwWeighting(torch.tensor(case["forget_counts"]), number, case["tau"])
    assert torch.allclose(weighting.balance, torch.tensor(case["balance"]), atol=1e-5)


def test_hand_worked() -> None:
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


def test_a_class_without_spread_weighs_one() -> None:
    """No held-out sample, and held-out samples that are all alike: both weigh 1."""
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
def test_weight_lies_between_zero_and_two_and_on_its_side(
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
