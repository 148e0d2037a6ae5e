"""No weighting: every forget sample has the same weight, as in the plain base method."""

from __future__ import annotations

import torch
from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target


class NoWeighting:
    """The weighting `none`: 1 for every sample."""

    needs = "nothing"
    settings_type = Settings

    def __init__(self, counts: Tensor, num_classes: int, settings: Settings) -> None:
        """Do nothing."""

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return ones, [n]."""
        return torch.ones_like(prob)


weighting = NoWeighting
