"""Gradients of a net's loss over a set of samples: whole, one by one, squared."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli import architectures
from falw_cli.data.batches import Resident
from falw_cli.network import INFERENCE_BATCH, Network

Gradients = dict[str, Tensor]
"""By parameter name, of the parameter's shape."""


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that take gradients, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def spread_rows(count: int, wanted: int) -> Tensor:
    """At most `wanted` of `count` rows, evenly spaced, int64."""
    return torch.linspace(0, count - 1, min(count, wanted)).long()


def mean_gradient(network: Network, data: Resident) -> Gradients:
    """Gradient of the mean cross-entropy over a set [N], in eval mode, without augmentation."""
    total: Gradients = {}
    for rows in torch.split(torch.arange(len(data)), INFERENCE_BATCH):
        for name, value in _gradient(network, data, rows).items():
            total[name] = total[name] + value if name in total else value
    return {name: value / len(data) for name, value in total.items()}


def sample_gradients(network: Network, data: Resident, wanted: int) -> Iterator[Gradients]:
    """Gradient of the cross-entropy of each of at most `wanted` samples, one after the other."""
    for row in spread_rows(len(data), wanted):
        yield _gradient(network, data, row[None])


def diagonal_fisher(network: Network, data: Resident, wanted: int) -> Gradients:
    """Diagonal of the empirical Fisher information: mean squared gradient of single samples.

    Args:
        network: the model, taken in eval mode.
        data: the samples, [N].
        wanted: how many of them to take at most; one backward pass each.
    """
    total: Gradients = {}
    for one in sample_gradients(network, data, wanted):
        for name, value in one.items():
            squared = value.square()
            total[name] = total[name] + squared if name in total else squared
    return {name: value / min(wanted, len(data)) for name, value in total.items()}


def _gradient(network: Network, data: Resident, rows: Tensor) -> Gradients:
    """Gradient of the summed cross-entropy over some rows of a set."""
    module, named = network.module, trained(network.module)
    rows = rows.to(data.labels.device)
    training = module.training
    module.eval()
    try:
        logits = architectures.logits(module(network.inputs(data.pixels[rows]))).float()
        loss = F.cross_entropy(logits, data.labels[rows], reduction="sum")
        values = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    finally:
        module.train(training)
    pairs = zip(named.items(), values, strict=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in pairs}
