"""Gradients of a network's loss over a set of samples: mean, per sample, squared."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.data.device import Samples, in_batches
from falw_cli.models import architectures
from falw_cli.models.network import INFERENCE_BATCH, Network, evaluating
from falw_cli.runtime import collectives

Gradients = dict[str, Tensor]
"""Gradient by parameter name, in the parameter's shape."""


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that require gradients, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def spread_rows(count: int, wanted: int) -> Tensor:
    """Return at most `wanted` of `count` rows, evenly spaced, int64."""
    return torch.linspace(0, count - 1, min(count, wanted)).long()


def mean_gradient(network: Network, data: Samples) -> Gradients:
    """Return the gradient of the mean cross-entropy over N samples, in eval mode, unaugmented."""
    rows = collectives.mine(len(data), network.fabric)
    batches = in_batches(data, rows, INFERENCE_BATCH)
    found = (_gradient(network, pixels, label) for label, pixels in batches)
    return _mean(network, found, len(data))


def sample_gradients(network: Network, data: Samples, wanted: int) -> Iterator[Gradients]:
    """Yield the gradient of the cross-entropy of each of at most `wanted` samples."""
    yield from _each(network, data.of(spread_rows(len(data), wanted)))


def diagonal_fisher(network: Network, data: Samples, wanted: int) -> Gradients:
    """Diagonal of the empirical Fisher information: mean squared gradient per sample.

    Args:
        network: the model, used in eval mode.
        data: the samples, [N].
        wanted: maximum number of samples used; one backward pass each.
    """
    chosen = data.of(spread_rows(len(data), wanted))
    singles = _each(network, chosen.of(collectives.mine(len(chosen), network.fabric)))
    squares = ({name: value.square() for name, value in one.items()} for one in singles)
    return _mean(network, squares, len(chosen))


def _each(network: Network, data: Samples) -> Iterator[Gradients]:
    for label, pixels in in_batches(data, torch.arange(len(data)), 1):
        yield _gradient(network, pixels, label)


def _mean(network: Network, parts: Iterator[Gradients], count: int) -> Gradients:
    """Return the sum of the parts of all ranks, divided by `count`."""
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
