"""Gradient ascent (GA): increase the loss of the forget samples.

Thudi et al., "Unrolling SGD: Understanding Factors Influencing Machine Unlearning" (EuroS&P 2022).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, StepSamples


class GradientAscent(Method):
    """Negative cross-entropy against the true label; retain samples are not used, as published."""

    uses_retain = False
    retain_free = True
    defaults = {"lr": 1e-3, "epochs": 5}

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the negative cross-entropy, [n]."""
        return -F.cross_entropy(samples.logits, samples.label, reduction="none")


method = GradientAscent
