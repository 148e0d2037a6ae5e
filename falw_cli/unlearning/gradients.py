"""Gradients over a set of samples: of the loss (mean, per sample, squared), of the log-odds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.data.device import Samples, in_batches
from falw_cli.models import module_output
from falw_cli.models.network import INFERENCE_BATCH, Network, evaluating
from falw_cli.runtime import collectives

Gradients = dict[str, Tensor]
"""Gradient by parameter name, in the parameter's shape."""
SENSITIVITY_BATCH = 16
"""Samples per backward pass of `sensitivity`, few enough for any device that can take a step."""


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


def sensitivity(network: Network, data: Samples, wanted: int) -> float:
    """Return how much a step of one learning rate can change predictions, to first order.

    This is the l1 norm of the gradient of the mean true-class log-odds: the change of the log-odds
    per unit of the learning rate if an optimizer like AdamW moves all weights by equal steps.

    Args:
        network: the model, used in eval mode.
        data: the samples, [N].
        wanted: maximum number of samples used, evenly spaced.
    """
    chosen = data.of(spread_rows(len(data), wanted))
    rows = collectives.mine(len(chosen), network.fabric)
    batches = in_batches(chosen, rows, SENSITIVITY_BATCH)
    found = (_gradient(network, pixels, label, _log_odds) for label, pixels in batches)
    return sum(float(one.abs().sum()) for one in _mean(network, found, len(chosen)).values())


def _log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """Return the sum of the log-odds of the true class, from logits [n, C] and label int64 [n]."""
    own = label[:, None]
    return (
        logits.gather(1, own).squeeze(1) - logits.scatter(1, own, -torch.inf).logsumexp(1)
    ).sum()


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


def _gradient(
    network: Network,
    pixels: Tensor,
    label: Tensor,
    summed: Callable[[Tensor, Tensor], Tensor] = partial(F.cross_entropy, reduction="sum"),
) -> Gradients:
    """Gradient of a sum over samples: uint8 [n, S, S, channels], int64 [n]."""
    module, named = network.module, trained(network.module)
    with evaluating(module):
        logits = module_output.logits(module(network.inputs(pixels))).float()
        values = torch.autograd.grad(summed(logits, label), list(named.values()), allow_unused=True)
    pairs = zip(named.items(), values, strict=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in pairs}
