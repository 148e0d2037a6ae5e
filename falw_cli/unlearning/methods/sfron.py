"""SFRon: masked gradient ascent on forget samples, and repair on retain samples.

Huang et al., "Unified Gradient-Based Machine Unlearning with Remain Geometry Enhancement" (NeurIPS
2024): the forget gradient is that of an adaptively weighted loss and is masked to the weights whose
diagonal Fisher information on the forget set exceeds that on the retain set by a factor; the retain
gradient moves all weights.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from falw_cli.unlearning.gradients import diagonal_fisher, trained
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples

TINY = 1e-15


class SfronSettings(Settings):
    """Hyperparameters of `sfron`."""

    ratio: PositiveFloat = 1.0
    """Minimum ratio of forget to retain Fisher information of a weight that the ascent changes."""
    adapt: NonNegativeFloat = 0.5
    """lambda: the weight of a forget sample is its loss to the power of -lambda."""
    strength: PositiveFloat = 25.0
    """alpha, factor on the forget loss; from the paper's CIFAR-10 setting."""
    fisher_samples: PositiveInt = 256
    """Samples of each set for the estimate of the Fisher information."""


class Sfron(Method):
    """Masked, adaptive gradient ascent and cross-entropy on retain samples in one merged step.

    The paper's fast-slow average over inner steps is omitted: in its CIFAR-10 setting, slow and
    fast weights are the same.
    """

    defaults = {"lr": 0.01, "epochs": 2}
    settings_type = SfronSettings

    def __init__(self, inputs: MethodInputs, settings: SfronSettings) -> None:
        """See `Method`."""
        self.settings = settings
        forget, retain = (
            diagonal_fisher(inputs.network, part, settings.fisher_samples)
            for part in (inputs.forget, inputs.retain)
        )
        self.forget_mask = {
            weights: forget[name] + TINY >= settings.ratio * (retain[name] + TINY)
            for name, weights in trained(inputs.network.module).items()
        }

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return -alpha times the adaptively weighted cross-entropy, [n]; weights have mean 1."""
        plain = F.cross_entropy(samples.logits, samples.label, reduction="none")
        weight = (plain.detach() + TINY).pow(-self.settings.adapt)
        return -self.settings.strength * weight / samples.mean(weight) * plain


method = Sfron
