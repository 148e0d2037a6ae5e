"""Gradients of a net's loss over a set of samples: whole, one by one, squared."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.data.device import Samples
from falw_cli.models import architectures
from falw_cli.models.network import INFERENCE_BATCH, Network, evaluating
from falw_cli.runtime import collectives

Gradients = dict[str, Tensor]
"""By parameter name, of the parameter's shape."""


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that take gradients, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def spread_rows(count: int, wanted: int) -> Tensor:
    """At most `wanted` of `count` rows, evenly spaced, int64."""
    return torch.linspace(0, count - 1, min(count, wanted)).long()


def mean_gradient(network: Network, data: Samples) -> Gradients:
    """Gradient of the mean cross-entropy over a set [N], in eval mode, without augmentation."""
    groups = torch.split(collectives.mine(len(data), network.fabric), INFERENCE_BATCH)
    found = (
        _gradient(network, pixels, data.labels[rows.to(data.labels.device)])
        for rows, pixels in zip(groups, data.read(groups), strict=True)
    )
    return _mean(network, found, len(data))


def sample_gradients(network: Network, data: Samples, wanted: int) -> Iterator[Gradients]:
    """Gradient of the cross-entropy of each of at most `wanted` samples, one after the other."""
    yield from _each(network, data.of(spread_rows(len(data), wanted)))


def diagonal_fisher(network: Network, data: Samples, wanted: int) -> Gradients:
    """Diagonal of the empirical Fisher information: mean squared gradient of single samples.

    Args:
        network: the model, taken in eval mode.
        data: the samples, [N].
        wanted: how many of them to take at most; one backward pass each.
    """
    chosen = data.of(spread_rows(len(data), wanted))
    singles = _each(network, chosen.of(collectives.mine(len(chosen), network.fabric)))
    squares = ({name: value.square() for name, value in one.items()} for one in singles)
    return _mean(network, squares, len(chosen))


def _each(network: Network, data: Samples) -> Iterator[Gradients]:
    groups = torch.split(torch.arange(len(data)), 1)
    for row, pixels in zip(groups, data.read(groups), strict=True):
        yield _gradient(network, pixels, data.labels[row.to(data.labels.device)])


def _mean(network: Network, parts: Iterator[Gradients], count: int) -> Gradients:
    """Sum of the parts of all ranks over `count`."""
    summed = {name: torch.zeros_like(p) for name, p in trained(network.module).items()}
    for part in parts:
        for name, value in part.items():
            summed[name] += value
    return {name: collectives.total(v, network.fabric) / count for name, v in summed.items()}


def _gradient(network: Network, pixels: Tensor, label: Tensor) -> Gradients:
    """Gradient of the summed cross-entropy over samples: uint8 [n, S, S, channels], int64 [n]."""
    module, named = network.module, trained(network.module)
    with evaluating(module):
        logits = architectures.logits(module(network.inputs(pixels))).float()
        loss = F.cross_entropy(logits, label, reduction="sum")
        values = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    pairs = zip(named.items(), values, strict=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in pairs}
