"""FaLW: weight of a forget sample by its true-class probability relative to unseen data.

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
        float tensor [C]. A class without forget samples gets 1, which is not used.

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

    z = (p - mu_c) / sigma_c. The weight approaches 2 for under-forgotten samples (p above the mean
    of unseen data) and 0 for over-forgotten ones; it is 1 at the mean. It carries no gradient.

    Args:
        prob: true-class probability of each sample, [N], in [0, 1].
        label: true class of each sample, int64 [N].
        mu: mean true-class probability of unseen data, [C].
        sigma: its population standard deviation, [C].
        balance: balance factor of each class, [C].

    Returns:
        float tensor [N] in [0, 2]; 1 for a class without held-out samples or with sigma = 0.
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
    """The weighting `falw`: equations 2 and 3 with the current target distribution."""

    needs = "target"
    settings_type = FalwSettings

    def __init__(self, counts: Tensor, num_classes: int, settings: FalwSettings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.balance = balance_factor(counts, num_classes, settings.tau)

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights [N] for true-class probability `prob` and class `label`."""
        return forgetting_aware_weight(prob, label, target.mu, target.sigma, self.balance)


weighting = FalwWeighting
