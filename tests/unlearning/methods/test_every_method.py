"""Properties that all methods share."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from falw_cli.config.extensions import METHODS, WEIGHTINGS
from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import Method, load_method, load_weighting
from tests.unlearning.methods.conftest import backward, make


def test_every_registered_name_loads() -> None:
    assert all(issubclass(load_method(name), Method) for name in METHODS)
    assert all(load_weighting(name).settings_type() is not None for name in WEIGHTINGS)


def test_hyperparameters_of_methods_and_weightings_never_share_a_name() -> None:
    """Both are set by name in the same config section."""
    of_methods = {f for name in METHODS for f in load_method(name).settings_type.model_fields}
    of_weightings = {
        f for name in WEIGHTINGS for f in load_weighting(name).settings_type.model_fields
    }
    assert not of_methods & of_weightings


@pytest.mark.parametrize("name", [n for n in METHODS if n != "influence"])
def test_losses_are_finite_and_have_gradients(network: Network, name: str) -> None:
    method = make(name, network)
    network.module.train()
    assert backward(method, network).isfinite()
    gradients = [p.grad for p in network.module.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in gradients)
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", ["scrub", "bad-teacher"])
def test_teachers_are_unchanged(network: Network, name: str) -> None:
    method = make(name, network)
    teachers = [v for v in vars(method).values() if isinstance(v, nn.Module)]
    before = [deepcopy(teacher.state_dict()) for teacher in teachers]
    network.module.train()
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1)
    for _ in range(2):
        backward(method, network)
        optimizer.step()
    for teacher, state in zip(teachers, before, strict=True):
        assert not teacher.training
        assert all(torch.equal(state[k], v) for k, v in teacher.state_dict().items())
