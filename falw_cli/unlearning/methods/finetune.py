"""Fine-tuning (FT): go on training on the retain set and let the rest fade.

Warnecke et al., "Machine Unlearning of Features and Labels" (NDSS 2023); Golatkar et al., "Eternal
Sunshine of the Spotless Net" (CVPR 2020).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor


class Finetune:
    """Cross-entropy on the retain set alone; there is no forget loss to weight."""

    uses_forget = False
    uses_retain = True
    defaults: ClassVar[dict[str, Any]] = {"lr": 0.1, "epochs": 5}

    def __init__(self, label: Tensor, num_classes: int, generator: torch.Generator) -> None:
        """See `Method`."""

    def forget_loss(self, logits: Tensor, position: Tensor) -> Tensor:
        """Never weighted or summed: [0] losses for the [0, C] logits that it is given."""
        return logits.new_zeros(len(logits))


method = Finetune
