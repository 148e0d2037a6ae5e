"""AMUN: fine-tune on adversarial neighbours of the forget samples, with their wrong labels.

Ebrahimpour-Boroojeny, Sundaram and Chandrasekaran, "AMUN: Adversarial Machine UNlearning" (ICML
2025, arXiv 2503.00917): search the closest adversarial example of each forget sample, then
fine-tune on these examples with the original's wrong labels, and on the retain samples. Other
predictions change little, but the model becomes less confident near the forget samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from falw_cli.data.device import Samples, in_batches
from falw_cli.models import module_output
from falw_cli.models.network import INFERENCE_BATCH, Network, evaluating
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples

STEPS = 10
"""Steps of each attack."""
RADII = 6
"""Maximum number of attacks per sample; each has twice the radius of the one before."""


class AmunSettings(Settings):
    """Hyperparameters of `amun`."""

    first_radius: PositiveFloat = 0.1
    """L2 radius of the first attack, as a share of the images' mean L2 norm."""


class Amun(Method):
    """Cross-entropy of the neighbours against their wrong labels; images are not augmented."""

    search_from = 0.1
    defaults = {"lr": "auto", "epochs": 4, "crop": 0, "flip": False}
    settings_type = AmunSettings

    def __init__(self, inputs: MethodInputs, settings: AmunSettings) -> None:
        """See `Method`. `moved` holds the difference of each neighbour, `wrong` its class."""
        self.module = inputs.network.module
        found = adversarial_neighbours(inputs.network, inputs.forget, settings.first_radius)
        self.moved, self.wrong = found

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the cross-entropy of n neighbours against their wrong labels, [n]."""
        if not len(samples.label):
            return samples.logits.new_zeros(0)
        images = samples.images + self.moved[samples.position]
        logits = module_output.logits(self.module(images)).float()
        return F.cross_entropy(logits, self.wrong[samples.position], reduction="none")


def adversarial_neighbours(
    network: Network, data: Samples, first_radius: float
) -> tuple[Tensor, Tensor]:
    """Return differences [N, channels, S, S] to nearby adversarial examples, and their classes [N].

    Projected gradient ascent in L2 (Madry et al., ICLR 2018), with growing radii. A sample on which
    no attack succeeds keeps a difference of 0 and gets its most likely wrong class.
    """
    moved, wrong = [], []
    with evaluating(network.module):
        for label, pixels in in_batches(data, torch.arange(len(data)), INFERENCE_BATCH):
            one, other = _attacked(network, network.inputs(pixels), label, first_radius)
            moved.append(one)
            wrong.append(other)
    return torch.cat(moved), torch.cat(wrong)


def _attacked(
    network: Network, images: Tensor, label: Tensor, first_radius: float
) -> tuple[Tensor, Tensor]:
    found = torch.zeros_like(images)
    wrong = _predicted_wrong(network, images, label)
    open_rows = torch.ones(len(label), dtype=torch.bool, device=label.device)
    radius = first_radius * float(images.flatten(1).norm(dim=1).mean())
    for _ in range(RADII):
        rows = open_rows.nonzero().squeeze(1)
        if not len(rows):
            break
        step = _ascend(network, images[rows], label[rows], radius)
        with torch.no_grad():
            predicted = module_output.logits(network.module(images[rows] + step)).argmax(1)
        hit = predicted != label[rows]
        found[rows[hit]] = step[hit]
        wrong[rows[hit]] = predicted[hit]
        open_rows[rows[hit]] = False
        radius *= 2
    return found, wrong


def _ascend(network: Network, images: Tensor, label: Tensor, radius: float) -> Tensor:
    """Return the difference that projected gradient ascent of the loss finds within a radius."""
    step = torch.zeros_like(images)
    for _ in range(STEPS):
        step.requires_grad_()
        logits = module_output.logits(network.module(images + step)).float()
        loss = F.cross_entropy(logits, label, reduction="sum")
        (slope,) = torch.autograd.grad(loss, step)
        with torch.no_grad():
            scale = 1.0 / slope.flatten(1).norm(dim=1).clamp(min=1e-12)
            step = step + 2.5 * radius / STEPS * (slope * scale[:, None, None, None])
            length = step.flatten(1).norm(dim=1).clamp(min=1e-12)
            step = step * (radius / length).clamp(max=1)[:, None, None, None]
    return step.detach()


@torch.no_grad()
def _predicted_wrong(network: Network, images: Tensor, label: Tensor) -> Tensor:
    """Return the most likely wrong class of each image, int64 [n]."""
    logits = module_output.logits(network.module(images))
    found: Tensor = logits.scatter(1, label[:, None], -torch.inf).argmax(1)
    return found


method = Amun
