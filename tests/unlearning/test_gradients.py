"""Gradients and Fisher information of a model that is easy to compute by hand."""

from __future__ import annotations

import pytest
import torch

from falw_cli.data.device import Resident
from falw_cli.unlearning.gradients import diagonal_fisher, mean_gradient, sensitivity
from tests.unlearning.methods.conftest import Pixel, make_network


def test_diagonal_fisher_on_a_toy() -> None:
    """At w = 0 all p are 1/3: d CE / d w = x * (1/3 - [y = 0]); pixels 0 and 255 give x = -2, 2."""
    network = make_network(Pixel(), "x")
    images = torch.tensor([0, 255]).byte()[:, None, None, None].expand(2, 8, 8, 1)
    data = Resident(images, torch.tensor([0, 1]))
    expected = ((-2 * -2 / 3) ** 2 + (2 / 3) ** 2) / 2
    assert diagonal_fisher(network, data, 10)["w"].item() == pytest.approx(expected, rel=1e-5)
    mean = (-2 * -2 / 3 + 2 / 3) / 2
    assert mean_gradient(network, data)["w"].item() == pytest.approx(mean, rel=1e-5)


def test_sensitivity_on_a_toy() -> None:
    """At w = 0 the gradient of the log-odds is x for class 0 and -x / 2 for class 1; x = -2, 2."""
    network = make_network(Pixel(), "x")
    images = torch.tensor([0, 255]).byte()[:, None, None, None].expand(2, 8, 8, 1)
    data = Resident(images, torch.tensor([0, 1]))
    assert sensitivity(network, data, 10) == pytest.approx(abs(-2 - 1) / 2, rel=1e-5)
    assert sensitivity(network, data, 1) == pytest.approx(2, rel=1e-5)
