"""Features from the middle layers of several kinds of networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from falw_cli.unlearning.features import MOST, middle_features, pooled
from tests.engine import cpu


def network(module: nn.Module) -> Network:
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    return Network(module, "x", ("a", "b"), shown, cpu())


def samples(count: int) -> Resident:
    draws = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=draws)
    return Resident(pixels, torch.arange(count) % 2)


MODULES = {
    "batch norm": lambda: tiny_cnn(2, 1),
    "group norm": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2)
    ),
    "layer norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)
    ),
    "no norm": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)),
    "no layer": lambda: nn.Sequential(nn.AdaptiveAvgPool2d((1, 2)), nn.Flatten()),
}


@pytest.mark.parametrize("kind", MODULES)
def test_every_kind_of_network_has_features(kind: str) -> None:
    torch.manual_seed(0)
    made = network(MODULES[kind]())
    made.module.train()
    found = middle_features(made, (samples(3), samples(20), samples(5)))
    assert [len(one) for one in found] == [3, 20, 5]
    assert all(one.isfinite().all() and one.shape[1] <= MOST for one in found)
    assert found[1].mean(0).abs().max() < 1e-4
    assert made.module.training


def test_channels_last_maps_are_averaged_over_space() -> None:
    """A LayerNorm over the last dimension of [n, H, W, C], as in Swin."""
    output = torch.rand(2, 4, 4, 6)
    found = pooled(nn.LayerNorm(6), output)
    assert found.shape == (2, 6 * 4)
    corner = output[:, :2, :2].mean((1, 2))
    torch.testing.assert_close(found.reshape(2, 6, 2, 2)[:, :, 0, 0], corner)


def test_a_single_retain_sample_is_enough() -> None:
    found = middle_features(network(tiny_cnn(2, 1)), (samples(3), samples(1), samples(5)))
    assert all(one.isfinite().all() for one in found)
