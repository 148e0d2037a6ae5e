"""SCRUB: diverge from the teacher on forget samples, follow it on retain samples.

Kurmanji et al., "Towards Unbounded Machine Unlearning" (NeurIPS 2023), equation 3: minimise
alpha * KL(teacher || student) + gamma * CE on D_r, minus KL(teacher || student) on D_f. The teacher
is the original model.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from falw_cli.models import architectures
from falw_cli.unlearning.divergence import divergence
from falw_cli.unlearning.interfaces import Method, Seen, Settings, Start


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

    def __init__(self, start: Start, settings: ScrubSettings) -> None:
        """See `Method`. `teacher` is a frozen copy of the original."""
        self.teacher = deepcopy(start.network.module).eval().requires_grad_(False)
        self.settings = settings

    def forget_loss(self, seen: Seen) -> Tensor:
        """Return the negative divergence from the teacher, [n]."""
        return -self._apart(seen)

    def retain_loss(self, seen: Seen) -> Tensor:
        """Return alpha times the divergence plus gamma times the cross-entropy, [n]."""
        plain = super().retain_loss(seen)
        return self.settings.alpha * self._apart(seen) + self.settings.gamma * plain

    def _apart(self, seen: Seen) -> Tensor:
        if not len(seen.label):
            return seen.logits.new_zeros(0)
        with torch.no_grad():
            taught = architectures.logits(self.teacher(seen.images)).float()
        return divergence(seen.logits, taught, self.settings.temperature)


method = Scrub
