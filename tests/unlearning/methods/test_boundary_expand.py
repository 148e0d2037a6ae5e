"""boundary-expand: the added class."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from falw_cli.errors import RequestError
from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import Settings, load_method
from falw_cli.unlearning.methods.boundary_expand import BoundaryExpand
from tests.unlearning.methods.conftest import (
    CLASSES,
    FORGET,
    Pixel,
    inputs,
    make,
    make_network,
    seen,
)


def test_boundary_expand_adds_a_class_and_removes_it(network: Network) -> None:
    before = deepcopy(network.module)
    method = make("boundary-expand", network)
    images = network.inputs(FORGET.pixels)
    torch.testing.assert_close(network.module.eval()(images), before.eval()(images))
    assert network.module.train()(images).shape == (4, CLASSES + 1)
    assert network.module.eval()(images).shape == (4, CLASSES)
    shown = seen(make_network(network.module.train()))
    expected = F.cross_entropy(shown.logits, torch.full((4,), CLASSES), reduction="none")
    assert torch.equal(method.forget_loss(shown), expected)
    method.finish()
    assert network.module.state_dict().keys() == before.state_dict().keys()


def test_boundary_expand_refuses_a_net_without_a_last_linear_layer() -> None:
    with pytest.raises(RequestError, match="cannot widen"):
        BoundaryExpand(inputs(make_network(Pixel(), "x")), Settings())


def test_it_takes_no_weighting() -> None:
    assert not load_method("boundary-expand").weightable
