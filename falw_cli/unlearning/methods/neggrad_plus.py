"""NegGrad+: climb the forget loss while descending the retain loss.

Kurmanji et al., "Towards Unbounded Machine Unlearning" (NeurIPS 2023), section 4: minimise
beta * L(D_r) - (1 - beta) * L(D_f).
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, Seen, Settings, Start


class NegGradSettings(Settings):
    """Hyperparameters of `neggrad-plus`."""

    beta: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the retain loss."""


class NegGradPlus(Method):
    """Gradient ascent beside cross-entropy on retain samples.

    Divided by beta, so that the retain loss is the plain one: the forget loss counts
    (1 - beta) / beta. In a merged batch it is a mean over samples, not over each part.
    """

    defaults = {"lr": 0.1, "epochs": 4}
    settings_type = NegGradSettings

    def __init__(self, start: Start, settings: NegGradSettings) -> None:
        """See `Method`."""
        self.scale = (1 - settings.beta) / settings.beta

    def forget_loss(self, seen: Seen) -> Tensor:
        """-(1 - beta) / beta times cross-entropy, [n]."""
        return -self.scale * F.cross_entropy(seen.logits, seen.label, reduction="none")


method = NegGradPlus
