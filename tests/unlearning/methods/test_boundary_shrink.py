"""boundary-shrink: the nearest wrong class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from falw_cli.data.device import Resident
from falw_cli.unlearning.methods.boundary_shrink import nearest_wrong_class
from tests.unlearning.methods.conftest import make_network


class Brightness(nn.Module):
    """Three classes from dark to light, whose adversarial neighbours are known."""

    def forward(self, images: Tensor) -> Tensor:
        x = images.mean((1, 2, 3))
        return -torch.stack([(x + 2).square(), x.square(), (x - 2).square()], dim=1)


def test_the_nearest_wrong_class_lies_over_the_boundary() -> None:
    """The neighbour of a dark image is grey, never light; that of a grey one is the nearer side."""
    network = make_network(Brightness(), "x")
    values = torch.tensor([30, 110, 150, 230]).byte()
    images = values[:, None, None, None].expand(4, 8, 8, 1)
    found = nearest_wrong_class(network, Resident(images, torch.tensor([0, 1, 1, 2])), 0.1)
    assert found.tolist() == [1, 0, 2, 1]
