"""What a base method and a weighting are to the rest: neither knows the other."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from falw_cli.unlearning.target import Target


class Method(Protocol):
    """A base method: a loss for each forget sample, and whether retain samples take part.

    The loop takes the mean of all losses of a merged batch (FaLW equation 4 with alpha = beta = 1);
    retain samples bring their cross-entropy.
    """

    uses_forget: ClassVar[bool]
    """Do forget samples take part? Without them there is nothing to weight."""
    uses_retain: ClassVar[bool]
    """Do retain samples take part?"""
    defaults: ClassVar[dict[str, Any]]
    """Settings found by measurement (docs/defaults.md), by their name in the config."""

    def __init__(self, label: Tensor, num_classes: int, generator: torch.Generator) -> None:
        """Args: true class of each forget sample, int64 [N_f]; C; the run's randomness."""

    def forget_loss(self, logits: Tensor, position: Tensor) -> Tensor:
        """Losses [n] of n forget samples: logits [n, C], their positions in the forget set [n]."""


class Weighting(Protocol):
    """A weighting: true-class probability and class of forget samples -> a weight each."""

    needs_target: ClassVar[bool]
    """Does `weight` look at its arguments? If not, the loop spares itself the forward pass."""

    def __init__(self, counts: Tensor, num_classes: int, tau: float) -> None:
        """Args: forget samples of each class [C]; C; tau of the balance factor."""

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Weights [n], without gradient, of forget samples: prob [n] in [0, 1], label int64 [n]."""
