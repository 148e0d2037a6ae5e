"""Random labels (RL): each forget sample is taught a wrong label.

Graves, Nagisetty and Ganesh, "Amnesiac Machine Learning" (AAAI 2021); the base method of FaLW's
Algorithm 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor


class RandomLabel:
    """Cross-entropy against a label drawn once for each forget sample, never the true one.

    Drawing from the other C - 1 classes alone is our reading: a true label among the random ones
    would teach what is to be forgotten.
    """

    uses_forget = True
    uses_retain = True
    defaults: ClassVar[dict[str, Any]] = {"lr": 0.01, "epochs": 1}

    def __init__(self, label: Tensor, num_classes: int, generator: torch.Generator) -> None:
        """See `Method`. `drawn` holds the random label of each forget sample, int64 [N_f]."""
        shift = torch.randint(1, num_classes, label.shape, generator=generator)
        self.drawn = (label + shift.to(label.device)) % num_classes

    def forget_loss(self, logits: Tensor, position: Tensor) -> Tensor:
        """Cross-entropy against the drawn labels: logits [n, C], position [n] -> [n]."""
        return F.cross_entropy(logits, self.drawn[position], reduction="none")


method = RandomLabel
