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
from torch import Tensor

from falw_cli.models import architectures
from falw_cli.models.network import to_device
from falw_cli.unlearning.divergence import teacher_divergence
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class BadTeacherSettings(Settings):
    """Hyperparameters of `bad-teacher`."""

    temperature: PositiveFloat = 1.0


class BadTeacher(Method):
    """Distillation from two frozen teachers; the incompetent one is an untrained network."""

    defaults = {"lr": 0.1, "epochs": 4}
    settings_type = BadTeacherSettings

    def __init__(self, inputs: MethodInputs, settings: BadTeacherSettings) -> None:
        """See `Method`."""
        network = inputs.network
        self.temperature = settings.temperature
        self.competent = deepcopy(network.module).eval().requires_grad_(False)
        channels = len(network.preprocessing.mean or ())
        spec = network.spec
        build = spec.build if spec else partial(
            architectures.builder(network.arch), inputs.num_classes, channels
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(inputs.generator.initial_seed() % 2**63)
            fresh = build()
        self.incompetent = to_device(fresh, network.fabric).eval().requires_grad_(False)

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Divergence from the incompetent teacher, [n]."""
        return teacher_divergence(samples, self.incompetent, self.temperature)

    def retain_loss(self, samples: StepSamples) -> Tensor:
        """Divergence from the competent teacher, [n]."""
        return teacher_divergence(samples, self.competent, self.temperature)


method = BadTeacher
