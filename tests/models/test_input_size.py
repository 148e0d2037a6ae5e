"""A network that does not take the images of its preprocessing is a wrong request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor, nn

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


class Pair(nn.Linear):
    """A network that returns its features before its logits."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return features and logits."""
        features = images.flatten(1)
        return features, super().forward(features)


@pytest.mark.parametrize(
    ("module", "said"),
    [(Pair(64, 3), r"returns tuple \(\[0\] \[1, 64\], \[1\] \[1, 3\]\), not logits"),
     (nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), "own:net has 4 outputs, there are 3 classes")],
)  # fmt: skip
def test_outputs_that_are_not_one_per_class_are_refused(module: nn.Module, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        check_input_size(Network(module, "own:net", ("a", "b", "c"), SHOWN, cpu()))
