"""FaLW: the weight of a forget sample follows from where it stands against unseen data.

Equations 2 and 3 of FaLW (ICLR 2026, arXiv 2601.18650).
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target


def balance_factor(counts: Tensor, num_classes: int, tau: float) -> Tensor:
    """Balance factor of each class, FaLW equation 2: B_c = (N_f / (C * N_{f,c})) ** tau.

    A class that is rare in the forget list gets a larger factor; tau = 0 gives 1 everywhere.

    Args:
        counts: forget samples of each class, [C].
        num_classes: C, the classes of the model.
        tau: strength of the balancing, >= 0; the paper uses 0.1 to 0.2.

    Returns:
        float tensor [C]. A class without forget samples, whose factor nothing reads, gets 1.

    Raises:
        ValueError: `counts` is not [C], or tau is negative.
    """
    if counts.shape != (num_classes,):
        raise ValueError(f"counts has shape {tuple(counts.shape)}, expected ({num_classes},)")
    if tau < 0:
        raise ValueError(f"tau is {tau}, expected a number >= 0")
    dtype = counts.dtype if counts.is_floating_point() else torch.get_default_dtype()
    share = counts.to(dtype) * num_classes / counts.sum().clamp(min=1)
    return torch.where(counts > 0, share, 1.0).pow(-tau)


@torch.no_grad()
def forgetting_aware_weight(
    prob: Tensor, label: Tensor, mu: Tensor, sigma: Tensor, balance: Tensor
) -> Tensor:
    """Forgetting-aware weight, FaLW equation 3: w = 1 + sign(z) * tanh(|z|) ** (1 / B_c).

    z = (p - mu_c) / sigma_c. Under-forgotten samples (p above the unseen data's mean) get a weight
    towards 2, over-forgotten ones towards 0, a sample at the mean 1. No gradient flows through it.

    Args:
        prob: true-class probability of each sample, [N], in [0, 1].
        label: true class of each sample, int64 [N].
        mu: mean true-class probability of unseen data, [C].
        sigma: its population standard deviation, [C].
        balance: balance factor of each class, [C].

    Returns:
        float tensor [N] in [0, 2]; 1 where the class has no spread to measure against (no held-out
        sample, or sigma = 0).
    """
    spread = sigma[label]
    known = spread > 0
    z = (prob - mu[label]) / torch.where(known, spread, 1.0)
    weight = 1 + z.sign() * z.abs().tanh().pow(1 / balance[label])
    return torch.where(known, weight, 1.0)


class FalwSettings(Settings):
    """Hyperparameters of `falw`."""

    tau: NonNegativeFloat = 0.15
    """Strength of the balance factor, equation 2; the paper uses 0.1 to 0.2."""


class FalwWeighting:
    """The weighting `falw`: equations 2 and 3 against the target distribution of the moment."""

    needs = "target"
    settings_type = FalwSettings

    def __init__(self, counts: Tensor, num_classes: int, settings: FalwSettings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.balance = balance_factor(counts, num_classes, settings.tau)

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Weights [N] of forget samples with true-class probability `prob` and class `label`."""
        return forgetting_aware_weight(prob, label, target.mu, target.sigma, self.balance)


weighting = FalwWeighting
