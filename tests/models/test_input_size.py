"""A network that does not take the images of its preprocessing is a wrong request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from falw_cli.config.settings import Preprocessing
from falw_cli.errors import RequestError
from falw_cli.models.input_size import check_input_size
from falw_cli.models.network import Network
from tests.engine import cpu

SHOWN = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))


def test_an_input_size_that_the_network_refuses_is_named() -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    network = Network(fixed, "own:net", ("a", "b", "c"), SHOWN, cpu())
    check_input_size(network)
    other = replace(network, preprocessing=SHOWN.model_copy(update={"image_size": 9}))
    with pytest.raises(RequestError, match="own:net fails on an image of 9 pixels: mat1 and mat2"):
        check_input_size(other)
