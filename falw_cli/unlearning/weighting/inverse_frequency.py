"""Inverse-frequency weights: each class of the list has the same total weight.

The standard approach to long tails, e.g. Huang et al., "Learning Deep Representation for
Imbalanced Classification" (CVPR 2016): w_c = N_f / (number of classes in the list * N_{f,c}).
"""

from __future__ import annotations

from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target
from falw_cli.unlearning.weighting.class_balanced import mean_one


class InverseFrequency:
    """The weighting `inverse-frequency`; its mean over the forget samples is 1."""

    needs = "class"
    settings_type = Settings

    def __init__(self, counts: Tensor, num_classes: int, settings: Settings) -> None:
        """Args: counts, forget samples of each class [C]; num_classes, C."""
        self.of_class = mean_one(counts.cpu().double(), counts)

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights [n] of forget samples of class `label`."""
        return self.of_class[label]


weighting = InverseFrequency
