"""SCRUB: diverge from the teacher on forget samples, follow it on retain samples.

Kurmanji et al., "Towards Unbounded Machine Unlearning" (NeurIPS 2023), equation 3: minimise
alpha * KL(teacher || student) + gamma * CE on D_r, minus KL(teacher || student) on D_f. The teacher
is the original model.
"""

from __future__ import annotations

from copy import deepcopy

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from falw_cli.unlearning.divergence import teacher_divergence
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class ScrubSettings(Settings):
    """Hyperparameters of `scrub`."""

    alpha: NonNegativeFloat = 0.5
    """Weight of the divergence from the teacher on retain samples."""
    gamma: NonNegativeFloat = 0.99
    """Weight of the cross-entropy on retain samples."""
    temperature: PositiveFloat = 2.0


class Scrub(Method):
    """Both terms of equation 3 in one merged batch; the paper alternates between them."""

    defaults = {"lr": 0.1, "epochs": 4}
    settings_type = ScrubSettings

    def __init__(self, inputs: MethodInputs, settings: ScrubSettings) -> None:
        """See `Method`. `teacher` is a frozen copy of the original."""
        self.teacher = deepcopy(inputs.network.module).eval().requires_grad_(False)
        self.settings = settings

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the negative divergence from the teacher, [n]."""
        return -teacher_divergence(samples, self.teacher, self.settings.temperature)

    def retain_loss(self, samples: StepSamples) -> Tensor:
        """Return alpha times the divergence plus gamma times the cross-entropy, [n]."""
        plain = super().retain_loss(samples)
        apart = teacher_divergence(samples, self.teacher, self.settings.temperature)
        return self.settings.alpha * apart + self.settings.gamma * plain


method = Scrub
