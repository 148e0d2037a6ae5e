"""LoTUS: forget samples learn the original's predictions, smoothed to match unseen accuracy.

Spartalis, Semertzidis, Gavves and Daras, "LoTUS: Large-Scale Machine Unlearning with a Taste of
Uncertainty" (CVPR 2025, arXiv 2503.18314): the student learns the original's Gumbel-softmax
predictions, on forget samples at the temperature exp(alpha * (forget accuracy now - accuracy of the
original on unseen data)), on retain samples at a temperature near 0. The paper sets the temperature
once per epoch, by a pass over the forget set. Here it depends on the accuracy on the forget samples
of the batch, at no extra cost.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples

SHARP = 1e-3
"""Temperature of the retain samples."""


class LotusSettings(Settings):
    """Hyperparameters of `lotus`."""

    smoothing: PositiveFloat = 2.0
    """alpha: how much the temperature rises with the excess of the forget accuracy."""


class Lotus(Method):
    """Cross-entropy against smoothed predictions of the original."""

    needs_guide = True
    search_from = 0.1
    defaults = {"lr": "auto", "epochs": 4}
    settings_type = LotusSettings

    def __init__(self, inputs: MethodInputs, settings: LotusSettings) -> None:
        """See `Method`. `forget`, `retain` hold the original's logits, [N_f, C] and [N_r, C]."""
        self.smoothing = settings.smoothing
        self.forget = inputs.network.predict(inputs.forget)
        self.retain = inputs.network.predict(inputs.retain)
        right = inputs.network.confidence(inputs.guide)[1].float()
        classes = torch.bincount(inputs.forget.labels, minlength=inputs.num_classes)
        weight = classes[inputs.guide.labels].float()
        self.unseen_accuracy = (right * weight).sum() / weight.sum().clamp(min=1e-9)

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the cross-entropy against the original at the current temperature, [n]."""
        if not len(samples.label):
            return samples.logits.new_zeros(0)
        accuracy = (samples.logits.detach().argmax(1) == samples.label).float().mean()
        temperature = torch.exp(self.smoothing * (accuracy - self.unseen_accuracy))
        return self._loss(samples, self.forget, temperature)

    def retain_loss(self, samples: StepSamples) -> Tensor:
        """Return the cross-entropy against the original at the temperature SHARP, [n]."""
        return self._loss(samples, self.retain, self.unseen_accuracy.new_tensor(SHARP))

    def _loss(self, samples: StepSamples, logits: Tensor, temperature: Tensor) -> Tensor:
        taught = logits[samples.position]
        uniform = torch.rand_like(taught)  # the loop seeds torch's global generator per step
        noise = -torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))
        target = ((taught + noise) / temperature).softmax(1)
        return F.cross_entropy(samples.logits, target, reduction="none")


method = Lotus
