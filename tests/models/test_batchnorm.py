"""BatchNorm over all ranks equals BatchNorm over the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from falw_cli.models.batchnorm import share_batchnorm, statistics_follow
from tests.several import in_ranks

LAYERS = (
    (nn.BatchNorm2d(3), (10, 3, 4, 4)),
    (nn.BatchNorm2d(3, momentum=None, eps=1e-3), (10, 3, 4, 4)),
    (nn.BatchNorm1d(3, affine=False), (10, 3)),
)


def compare(fabric: Fabric, folder: Path) -> None:
    for layer, shape in LAYERS:
        values = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3 + 1
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        shared = share_batchnorm(nn.Sequential(layer), torch.device("cpu"))[0]
        rows = torch.arange(fabric.global_rank, 10, fabric.world_size)
        whole, mine = values.clone().requires_grad_(), values[rows].requires_grad_()
        expected, found = layer(whole), shared(mine)
        (expected * weight).sum().backward()
        (found * weight[rows]).sum().backward()
        torch.testing.assert_close(found, expected[rows])
        torch.testing.assert_close(mine.grad, whole.grad[rows])
        torch.testing.assert_close(shared.state_dict(), layer.state_dict())
        torch.testing.assert_close(shared.eval()(mine), layer.eval()(whole)[rows])


@pytest.mark.slow
def test_it_equals_batchnorm_of_the_whole_batch(tmp_path: Path) -> None:
    """Compare output, gradient and running statistics, with 4, 3 and 3 samples per rank."""
    in_ranks(compare, 3, tmp_path)


@pytest.mark.parametrize(("momentum", "inside"), [(0.01, 0.1), (0.3, 0.3), (None, None)])
def test_running_statistics_follow_within_the_block(
    momentum: float | None, inside: float | None
) -> None:
    layer = nn.BatchNorm2d(2, momentum=momentum)
    with statistics_follow(nn.Sequential(layer), 0.1):
        assert layer.momentum == inside
    assert layer.momentum == momentum
