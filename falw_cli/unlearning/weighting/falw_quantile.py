"""FaLW with the empirical distribution of unseen data instead of a Gaussian; falw's own variant.

True-class confidence is in [0, 1] and bimodal: mean and standard deviation describe it badly. This
weighting uses the quantile u of a forget sample among the unseen samples of its class. FaLW's
equation 3 with tanh(z) replaced by s = 2u - 1 gives w = 1 + sign(s) * |s| ** (1 / B_c): 2 above all
unseen samples, 0 below all of them, 1 at their median.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor

from falw_cli.unlearning.target import Target, share_below
from falw_cli.unlearning.weighting.falw import FalwSettings, balance_factor


class QuantileSettings(FalwSettings):
    """Hyperparameters of `falw-quantile`."""

    borrow: PositiveFloat = 5.0
    """k: weight of the pool of all classes, in held-out samples per class."""


def shrunken_quantile(prob: Tensor, label: Tensor, target: Target, borrow: float) -> Tensor:
    """Quantile of each sample among unseen samples of its class, shrunk to that among all classes.

    u = (n_c * u_c + k * u_pool) / (n_c + k): a class without held-out samples uses the pool alone,
    a class with many mostly its own samples.

    Args:
        prob, label: true-class probability and class of the samples, [n].
        target: the unseen samples; at least one.
        borrow: k.

    Returns:
        [n] in [0, 1].
    """
    pooled = share_below(prob, target.prob.sort().values)
    own = torch.zeros_like(pooled)
    for c in torch.unique(label).tolist():
        theirs = target.prob[target.label == c]
        if len(theirs):
            own[label == c] = share_below(prob[label == c], theirs.sort().values)
    count = target.count[label]
    return (count * own + borrow * pooled) / (count + borrow)


class QuantileWeighting:
    """The weighting `falw-quantile`."""

    needs = "target"
    settings_type = QuantileSettings

    def __init__(self, counts: Tensor, num_classes: int, settings: QuantileSettings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.balance = balance_factor(counts, num_classes, settings.tau)
        self.borrow = settings.borrow

    @torch.no_grad()
    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights [n] in [0, 2] of forget samples."""
        side = 2 * shrunken_quantile(prob, label, target, self.borrow) - 1
        return 1 + side.sign() * side.abs().pow(1 / self.balance[label])


weighting = QuantileWeighting
