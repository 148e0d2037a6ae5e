"""Class and confidence aware weights: large for hard samples of rare classes.

Jagati et al., "Class Confidence Aware Reweighting for Long Tailed Learning" (arXiv 2601.15924,
2026): a weight Omega(p, f_c) of confidence p and class frequency f_c that is exponential in the
margin to a pivot, and 1 at the pivot. Our interpretation: Omega = exp((pivot - p) * (1 - f')), with
f' = f_c below the pivot, else 1 - f_c; f_c is the class's share of the forget list.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target


class ConfidenceAwareSettings(Settings):
    """Hyperparameters of `confidence-aware`."""

    pivot: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Confidence at which the weight is 1; default from the paper."""


class ConfidenceAware:
    """The weighting `confidence-aware`."""

    needs = "probability"
    settings_type = ConfidenceAwareSettings

    def __init__(self, counts: Tensor, num_classes: int, settings: ConfidenceAwareSettings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.frequency = counts / counts.sum().clamp(min=1)
        self.pivot = settings.pivot

    @torch.no_grad()
    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights [n] for true-class probability `prob` and class `label`."""
        frequency = self.frequency[label]
        capacity = torch.where(prob < self.pivot, 1 - frequency, frequency)
        return torch.exp((self.pivot - prob) * capacity)


weighting = ConfidenceAware
