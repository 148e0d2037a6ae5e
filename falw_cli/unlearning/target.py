"""The target distribution: true-class probability of samples the model was not trained on.

Equation 1 of FaLW (ICLR 2026, arXiv 2601.18650): per class, over held-out samples, mean and
population standard deviation of the true-class probability under the current model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from falw_cli.runtime.precision import wide


@dataclass(frozen=True)
class Target:
    """Current target distribution: N unseen samples, and their statistics for each class.

    Attributes:
        prob, label: true-class probability and class of each unseen sample, [N].
        mu, sigma: mean and standard deviation of `prob` in each class, [C].
        count: unseen samples of each class, [C].
    """

    prob: Tensor
    label: Tensor
    mu: Tensor
    sigma: Tensor
    count: Tensor

    @classmethod
    def of(
        cls, prob: Tensor, label: Tensor, num_classes: int, counts: Tensor | None = None
    ) -> Target:
        """Return the target of unseen samples with `prob`, `label` and weights `counts`, [N]."""
        return cls(prob, label, *class_statistics(prob, label, num_classes, counts))


@dataclass(frozen=True)
class TargetQuality:
    """How well the target was known at the end: samples per class and error of mu, [C] each."""

    effective_samples: Tensor
    mu_error: Tensor


def class_statistics(
    prob: Tensor, label: Tensor, num_classes: int, counts: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, population standard deviation and count of `prob` per class, FaLW equation 1.

    Args:
        prob: true-class probability of held-out samples, [N], in [0, 1].
        label: their true class, int64 [N].
        num_classes: C.
        counts: weight of each sample, [N], positive; default: 1.

    Returns:
        (mu, sigma, count), each [C]; mu and sigma are 0 where count is 0. Summed in float64, so
        that a class with equal probabilities has a sigma of exactly 0.
    """
    values = wide(prob)
    label = label.to(values.device)
    counts = torch.ones_like(values) if counts is None else wide(counts)
    zeros = values.new_zeros(num_classes)
    # Not bincount, which waits for the device.
    number = zeros.index_add(0, label, torch.ones_like(values)).long()
    total = zeros.index_add(0, label, counts).clamp(min=torch.finfo(torch.float64).tiny)
    mu = zeros.index_add(0, label, counts * values) / total
    variance = zeros.index_add(0, label, counts * (values - mu[label]).square()) / total
    return mu.to(prob), variance.sqrt().to(prob), number.to(prob.device)


def share_below(value: Tensor, ordered: Tensor) -> Tensor:
    """Return the share of sorted numbers [m] below each value [n], ties counted half: [n]."""
    below = torch.searchsorted(ordered, value)
    upto = torch.searchsorted(ordered, value, right=True)
    return (below + upto) / (2 * len(ordered))
