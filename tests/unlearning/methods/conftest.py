"""A small network, forget and retain samples, and methods made with them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing
from falw_cli.data.batches import Batch
from falw_cli.data.device import Resident
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import expect
from falw_cli.unlearning.interfaces import (
    Method,
    MethodInputs,
    Settings,
    StepSamples,
    load_method,
)
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.weighting.none import NoWeighting
from tests.engine import cpu

CLASSES = 3
LABEL = torch.tensor([0, 1, 2, 2])


def pixels(count: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=draws)


FORGET = Resident(pixels(4, 1), LABEL)
RETAIN = Resident(pixels(9, 2), torch.arange(9) % 3)
GUIDE = Resident(pixels(30, 3), torch.arange(30) % 3)


def make_network(module: nn.Module | None = None, arch: str = "tiny-cnn") -> Network:
    torch.manual_seed(0)
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    module = module or tiny_cnn(CLASSES, 1)
    return Network(module, arch, ("a", "b", "c"), shown, cpu())


@pytest.fixture
def network() -> Network:
    """A network with random weights, the same in each test."""
    return make_network()


def inputs(network: Network, seed: int = 0, **more: Resident) -> MethodInputs:
    parts = {"forget": FORGET, "retain": RETAIN, "guide": GUIDE, **more}
    kept = torch.bincount(parts["retain"].labels, minlength=CLASSES)
    draws = torch.Generator().manual_seed(seed)
    known = None
    if isinstance(network.module, nn.Sequential):  # the other networks make no predictions
        known = expect(network, parts["forget"], parts["retain"], parts["guide"], kept)
    return MethodInputs(network, **parts, kept=kept, generator=draws, lr=0.1, expectation=known)


def make(name: str, network: Network, **settings: float) -> Method:
    kind = load_method(name)
    return kind(inputs(network), kind.settings_type(**settings))


def seen(network: Network, data: Resident = FORGET) -> StepSamples:
    images = network.inputs(data.pixels)
    return StepSamples(network.module(images), torch.arange(len(data)), data.labels, images)


def backward(method: Method, network: Network) -> Tensor:
    """Run the objective on one batch of all forget and retain samples, and return its loss."""
    whole = Resident(
        torch.cat([FORGET.pixels, RETAIN.pixels]), torch.cat([FORGET.labels, RETAIN.labels])
    )
    weighting = NoWeighting(torch.bincount(LABEL), CLASSES, Settings())
    objective = Unlearning(method, weighting, GUIDE, 1)
    batch = Batch(torch.arange(13), whole.pixels, whole.labels, 4, 4, torch.arange(13), 13, 4)
    return objective.backward(network, batch, network.inputs(whole.pixels), 0, 0.0)


class Pixel(nn.Module):
    """A model with logits (w * x, 0, 0) for a one-pixel image x, easy to compute by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.0))

    def forward(self, images: Tensor) -> Tensor:
        x = images.mean((1, 2, 3))
        return torch.stack([self.w * x, 0 * x, 0 * x], dim=1)
