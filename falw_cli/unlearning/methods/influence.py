"""Influence unlearning (IU): one Newton step away from the forget samples.

Izzo et al., "Approximate Data Deletion from Machine Learning Models" (AISTATS 2021), with the
inverse Fisher information of WoodFisher (Singh and Alistarh, NeurIPS 2020), as in Jia et al.,
"Model Sparsity Can Simplify Machine Unlearning" (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from falw_cli.runtime.precision import wide
from falw_cli.unlearning.gradients import Gradients, mean_gradient, sample_gradients, trained
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings


class InfluenceSettings(Settings):
    """Hyperparameters of `influence`."""

    fisher_samples: PositiveInt = 128
    """Retain samples for the Fisher information; each costs a backward pass and a gradient."""
    damping: PositiveFloat = 1e-2
    """lambda: lambda * I is added to the Fisher information, which is singular."""


class Influence(Method):
    """One step, theta + lr * F^-1 (grad L(D_f) - grad L(D_r)); there is no loss to weight.

    The gradients are of the mean loss over each set; `lr` scales the step.
    """

    uses_forget = False
    uses_retain = False
    weightable = False
    defaults = {"lr": 5e-3}
    settings_type = InfluenceSettings

    def __init__(self, inputs: MethodInputs, settings: InfluenceSettings) -> None:
        """See `Method`."""
        self.inputs = inputs
        self.settings = settings

    def apply(self) -> None:
        """Take the step."""
        network, settings = self.inputs.network, self.settings
        forget = mean_gradient(network, self.inputs.forget)
        retain = mean_gradient(network, self.inputs.retain)
        away = _flat({name: forget[name] - retain[name] for name in forget})
        singles = sample_gradients(network, self.inputs.retain, settings.fisher_samples)
        step = self.inputs.lr * inverse_fisher(away, map(_flat, singles), settings.damping)
        weights = list(trained(network.module).values())
        parts = torch.split(step, [weight.numel() for weight in weights])
        with torch.no_grad():
            for weight, part in zip(weights, parts, strict=True):
                weight.add_(part.reshape(weight.shape))


def _flat(gradients: Gradients) -> Tensor:
    return torch.cat([value.flatten() for value in gradients.values()])


def inverse_fisher(vector: Tensor, gradients: Iterable[Tensor], damping: float) -> Tensor:
    """Return (damping * I + 1/N sum g g^T)^-1 v for N sample gradients g (Woodbury identity).

    WoodFisher applies the identity one gradient at a time. Applied to all gradients together, it is
    a system of N equations, solved exactly.

    Args:
        vector: v, [P].
        gradients: g, [P] each; N of them are kept in memory.
        damping: > 0.
    """
    stacked = torch.stack(list(gradients))
    inner = stacked @ stacked.T + damping * len(stacked) * torch.eye(
        len(stacked), dtype=vector.dtype, device=vector.device
    )
    solved: Tensor = torch.linalg.solve(wide(inner), wide(stacked @ vector)).to(vector)
    found: Tensor = (vector - stacked.T @ solved) / damping
    return found


method = Influence
