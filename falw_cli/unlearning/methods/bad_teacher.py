"""Bad teacher: forget samples learn from an untrained network, retain ones from the original.

Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an
Incompetent Teacher" (AAAI 2023), equation 4: minimise (1 - l) * KL(competent || student) +
l * KL(incompetent || student), l = 1 for forget and 0 for retain samples.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

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
        with torch.random.fork_rng():
            torch.manual_seed(inputs.generator.initial_seed() % 2**63)
            fresh = network.spec.build() if network.spec else untrained(network.module)
        self.incompetent = to_device(fresh, network.fabric).eval().requires_grad_(False)

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Divergence from the incompetent teacher, [n]."""
        return teacher_divergence(samples, self.incompetent, self.temperature)

    def retain_loss(self, samples: StepSamples) -> Tensor:
        """Divergence from the competent teacher, [n]."""
        return teacher_divergence(samples, self.competent, self.temperature)


def untrained(module: nn.Module) -> nn.Module:
    """Return a copy of a module with random weights, drawn by torch's global generator.

    Layers of torch are initialised again. A parameter of any other layer keeps its values in a
    random order: it has the scale of the trained one, and nothing of what it learned.
    """
    fresh = deepcopy(module)
    for layer in fresh.modules():
        reset = getattr(layer, "reset_parameters", getattr(layer, "_reset_parameters", None))
        if callable(reset):
            reset()
            continue
        with torch.no_grad():
            for value in layer.parameters(recurse=False):
                value.copy_(value.flatten()[torch.randperm(value.numel())].view_as(value))
    return fresh


method = BadTeacher
