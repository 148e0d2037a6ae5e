"""l1-sparse: fine-tune on the retain set while pulling weights to zero.

Jia et al., "Model Sparsity Can Simplify Machine Unlearning" (NeurIPS 2023), equation 4: minimise
L(D_r) + gamma * ||theta||_1, with gamma falling linearly to 0 over the run.
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings


class L1Settings(Settings):
    """Hyperparameters of `l1-sparse`."""

    l1: NonNegativeFloat = 5e-4
    """gamma at the start of the run; default from the paper."""


class L1Sparse(Method):
    """Cross-entropy on the retain set and an l1 penalty; there is no forget loss to weight."""

    uses_forget = False
    weightable = False
    defaults = {"lr": 0.1, "epochs": 5}
    settings_type = L1Settings

    def __init__(self, inputs: MethodInputs, settings: L1Settings) -> None:
        """See `Method`."""
        self.l1 = settings.l1
        self.weights = list(inputs.network.module.parameters())

    def penalty(self, progress: float, part: tuple[int, int] = (0, 1)) -> Tensor:
        """gamma * (1 - progress) * ||theta||_1, a scalar."""
        norms = torch.stack([weight.abs().sum() for weight in self.weights])
        return self.l1 * (1 - progress) * norms.sum() / part[1]


method = L1Sparse
