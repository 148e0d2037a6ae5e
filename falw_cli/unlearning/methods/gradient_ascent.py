"""Gradient ascent (GA): climb the loss of the forget samples.

Thudi et al., "Unrolling SGD: Understanding Factors Influencing Machine Unlearning" (EuroS&P 2022).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor


class GradientAscent:
    """Minus the cross-entropy against the true label; retain samples take no part, as published."""

    uses_forget = True
    uses_retain = False
    defaults: ClassVar[dict[str, Any]] = {"lr": 3e-4, "epochs": 5}

    def __init__(self, label: Tensor, num_classes: int, generator: torch.Generator) -> None:
        """See `Method`."""
        self.label = label

    def forget_loss(self, logits: Tensor, position: Tensor) -> Tensor:
        """Minus cross-entropy: logits [n, C], position [n] -> [n]."""
        return -F.cross_entropy(logits, self.label[position], reduction="none")


method = GradientAscent
