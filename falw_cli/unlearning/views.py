"""Margins over shifted and mirrored views, which hardly depend on memory of the exact image."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from falw_cli.data.device import Samples
from falw_cli.models.network import Network
from falw_cli.runtime.precision import wide

VIEWS = 4
"""Number of averaged views; every second one is mirrored."""
SHIFT = 16
"""A view is shifted by at most 1 / SHIFT of the image's side."""


def view_margins(network: Network, samples: Samples) -> Tensor:
    """True-class log-odds of the mean prediction over shifted and mirrored views, [n]."""

    def of(pixels: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(0)
        total = torch.zeros(len(pixels), len(network.classes), device=pixels.device)
        for number in range(VIEWS):
            place = torch.rand(2, generator=random).tolist()
            moved = partial(_view, place=place, mirrored=number % 2 > 0)
            total += network.logits(pixels, moved).softmax(1)
        return total / VIEWS

    prob = network.map_pixels(samples, of).gather(1, samples.labels[:, None]).squeeze(1)
    own = wide(prob).clamp(1e-12, 1)
    return (own.log() - (1 - own).clamp(min=1e-12).log()).float().to(prob.device)


def _view(inputs: Tensor, place: list[float], mirrored: bool) -> Tensor:
    """Shift images [n, channels, H, W] cyclically, as given by `place` in [0, 1] x [0, 1].

    Inputs from Python that are not images are returned unchanged.
    """
    if inputs.dim() != 4:
        return inputs
    most = [max(1, side // SHIFT) for side in inputs.shape[2:]]
    shift = [round((2 * at - 1) * far) for at, far in zip(place, most, strict=True)]
    moved = inputs.roll(shift, (2, 3))
    return moved.flip(3) if mirrored else moved
