"""SatImp: samples that are neither saturated nor unimportant get the largest weights.

Yang et al., "Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning" (ICML 2025, arXiv
2505.11953): a token of probability p has the weight p ** beta1 * (1 - p) ** beta2, saturation times
importance. Here p is the true-class probability of an image instead of a token. The weight is
divided by its maximum, so that learning rates stay comparable: it is 1 at
p = beta1 / (beta1 + beta2). A memorised image, p near 1, has a weight near 0.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target


class SatImpSettings(Settings):
    """Hyperparameters of `satimp`; the paper's values."""

    saturation: PositiveFloat = 5.0
    """beta1: how strongly the weight falls for samples that are already forgotten."""
    importance: PositiveFloat = 1.0
    """beta2: how strongly the weight falls for samples that are learned well."""


class SatImp:
    """The weighting `satimp`."""

    needs = "probability"
    settings_type = SatImpSettings

    def __init__(self, counts: Tensor, num_classes: int, settings: SatImpSettings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.powers = settings.saturation, settings.importance

    @torch.no_grad()
    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights [n] in [0, 1] for true-class probability `prob`."""
        first, second = self.powers
        peak = first / (first + second)
        return (prob / peak).pow(first) * ((1 - prob) / (1 - peak)).pow(second)


weighting = SatImp
