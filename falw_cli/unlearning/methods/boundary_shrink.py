"""Boundary shrink (BS): move each forget sample over the nearest decision boundary.

Chen et al., "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision
Boundary" (CVPR 2023), section 3.2: the nearest wrong class is what the original predicts for an
adversarial neighbour, x + bound * sign(grad of the loss); forget samples are then trained on it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from falw_cli.data.device import Samples, in_batches
from falw_cli.models import module_output
from falw_cli.models.network import INFERENCE_BATCH, Network
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class BoundaryShrinkSettings(Settings):
    """Hyperparameters of `boundary-shrink`."""

    bound: PositiveFloat = 0.1
    """Length of the adversarial step, for pixels in [0, 1]; default from the paper."""


class BoundaryShrink(Method):
    """Cross-entropy against the nearest wrong class; retain samples are not used, as published."""

    uses_retain = False
    retain_free = True
    defaults = {"lr": 3e-3, "epochs": 5}
    settings_type = BoundaryShrinkSettings

    def __init__(self, inputs: MethodInputs, settings: BoundaryShrinkSettings) -> None:
        """See `Method`. `nearest` holds the wrong class of each forget sample, int64 [N_f]."""
        self.nearest = nearest_wrong_class(inputs.network, inputs.forget, settings.bound)

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the cross-entropy against the nearest wrong class, [n]."""
        return F.cross_entropy(samples.logits, self.nearest[samples.position], reduction="none")


def nearest_wrong_class(network: Network, data: Samples, bound: float) -> Tensor:
    """Return the most likely wrong class of each sample's adversarial neighbour, int64 [N].

    Args:
        network: the original, used in eval mode.
        data: the samples, [N].
        bound: length of the step, for pixels in [0, 1]; neighbours are clamped to this range.
    """
    low, high, std = network.pixel_range(data.labels.device)
    found = []
    network.module.eval()
    for label, pixels in in_batches(data, torch.arange(len(data)), INFERENCE_BATCH):
        images = network.inputs(pixels).requires_grad_()
        loss = F.cross_entropy(module_output.logits(network.module(images)), label, reduction="sum")
        (slope,) = torch.autograd.grad(loss, images)
        with torch.no_grad():
            moved = torch.clamp(images + bound / std * slope.sign(), low, high)
            logits = module_output.logits(network.module(moved)).float()
        found.append(logits.scatter(1, label[:, None], -torch.inf).argmax(1))
    return torch.cat(found)


method = BoundaryShrink
