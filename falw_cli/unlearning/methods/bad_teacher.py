"""Bad teacher: forget samples learn from an untrained network, retain ones from the original.

Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an
Incompetent Teacher" (AAAI 2023), equation 4: minimise (1 - l) * KL(competent || student) +
l * KL(incompetent || student), l = 1 for forget and 0 for retain samples.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from falw_cli.models import architectures
from falw_cli.models.network import to_device
from falw_cli.unlearning.divergence import divergence
from falw_cli.unlearning.interfaces import Method, Seen, Settings, Start


class BadTeacherSettings(Settings):
    """Hyperparameters of `bad-teacher`."""

    temperature: PositiveFloat = 1.0


class BadTeacher(Method):
    """Distillation from two frozen teachers; the incompetent one is an untrained network."""

    defaults = {"lr": 0.1, "epochs": 4}
    settings_type = BadTeacherSettings

    def __init__(self, start: Start, settings: BadTeacherSettings) -> None:
        """See `Method`."""
        network = start.network
        self.temperature = settings.temperature
        self.competent = deepcopy(network.module).eval().requires_grad_(False)
        channels = len(network.preprocessing.mean or ())
        made = network.plan
        build = made.build if made else partial(
            architectures.builder(network.arch), start.num_classes, channels
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(start.generator.initial_seed() % 2**63)
            fresh = build()
        self.incompetent = to_device(fresh, network.fabric).eval().requires_grad_(False)

    def forget_loss(self, seen: Seen) -> Tensor:
        """Divergence from the incompetent teacher, [n]."""
        return self._apart(seen, self.incompetent)

    def retain_loss(self, seen: Seen) -> Tensor:
        """Divergence from the competent teacher, [n]."""
        return self._apart(seen, self.competent)

    def _apart(self, seen: Seen, teacher: nn.Module) -> Tensor:
        if not len(seen.label):
            return seen.logits.new_zeros(0)
        with torch.no_grad():
            taught = architectures.logits(teacher(seen.images)).float()
        return divergence(seen.logits, taught, self.temperature)


method = BadTeacher
