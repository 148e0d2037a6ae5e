"""Class-balanced weights: larger for rare classes of the list, by their effective number.

Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (CVPR 2019), equation 4:
w_c is proportional to (1 - beta) / (1 - beta ** N_{f,c}).
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target


class ClassBalancedSettings(Settings):
    """Hyperparameters of `class-balanced`."""

    effective: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """beta: 0 gives equal weights; towards 1, weights approach the inverse frequency."""


def effective_number(counts: Tensor, beta: float) -> Tensor:
    """Effective number of samples, (1 - beta ** n) / (1 - beta), per class: [C] -> [C]."""
    return (1 - torch.tensor(beta, dtype=torch.float64).pow(counts.cpu())) / (1 - beta)


class ClassBalanced:
    """The weighting `class-balanced`, scaled to mean 1 over the forget samples."""

    needs = "class"
    settings_type = ClassBalancedSettings

    def __init__(self, counts: Tensor, num_classes: int, settings: ClassBalancedSettings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.of_class = mean_one(effective_number(counts, settings.effective), counts)

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights [n] of forget samples of class `label`."""
        return self.of_class[label]


def mean_one(number: Tensor, counts: Tensor) -> Tensor:
    """Weights [C] inverse to `number` [C], scaled so that their mean over all samples is 1."""
    inverse = torch.where(counts.cpu() > 0, 1 / number.clamp(min=1e-12), 0.0)
    scale = counts.sum().cpu() / (inverse * counts.cpu()).sum()
    return (inverse * scale).float().to(counts.device)


weighting = ClassBalanced
