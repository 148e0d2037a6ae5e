"""NegGrad+: increase the forget loss while decreasing the retain loss.

Kurmanji et al., "Towards Unbounded Machine Unlearning" (NeurIPS 2023), section 4: minimise
beta * L(D_r) - (1 - beta) * L(D_f).
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class NegGradSettings(Settings):
    """Hyperparameters of `neggrad-plus`."""

    beta: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Weight of the retain loss."""


class NegGradPlus(Method):
    """Gradient ascent on forget samples, and cross-entropy on retain samples.

    The published loss is divided by beta, so that the retain loss has the factor 1 and the forget
    loss (1 - beta) / beta. The mean is over the samples of a merged batch, not over each set.
    """

    defaults = {"lr": 0.1, "epochs": 4}
    settings_type = NegGradSettings

    def __init__(self, inputs: MethodInputs, settings: NegGradSettings) -> None:
        """See `Method`."""
        self.scale = (1 - settings.beta) / settings.beta

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return -(1 - beta) / beta times the cross-entropy, [n]."""
        return -self.scale * F.cross_entropy(samples.logits, samples.label, reduction="none")


method = NegGradPlus
