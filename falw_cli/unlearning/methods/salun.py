"""SalUn: random labels, changing only the weights with the largest forget gradient.

Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image
Classification and Generation" (ICLR 2024), equations 3 to 5: the mask is 1 where the magnitude of
the forget loss's gradient at the original is among the largest; the others stay as they are.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from falw_cli.unlearning.gradients import Gradients, mean_gradient, trained
from falw_cli.unlearning.interfaces import MethodInputs, Settings
from falw_cli.unlearning.methods.random_label import RandomLabel


class SalUnSettings(Settings):
    """Hyperparameters of `salun`."""

    salient: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the weights that may change; default from the paper."""


class SalUn(RandomLabel):
    """Random labels under a saliency mask."""

    defaults = {"lr": 0.1, "epochs": 4}
    settings_type = SalUnSettings

    def __init__(self, inputs: MethodInputs, settings: SalUnSettings) -> None:
        """See `Method`."""
        super().__init__(inputs, settings)
        gradient = mean_gradient(inputs.network, inputs.forget)
        chosen = saliency_mask({k: g.abs() for k, g in gradient.items()}, settings.salient)
        named = trained(inputs.network.module)
        self.mask = {named[name]: free for name, free in chosen.items()}
        self.held = {weights: weights.detach().clone() for weights in named.values()}


def saliency_mask(magnitude: Gradients, share: float) -> dict[str, Tensor]:
    """Return a mask that is True for the `share` of all weights with the largest magnitude."""
    flat = torch.cat([value.flatten() for value in magnitude.values()])
    count = max(1, round(share * len(flat)))
    chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    chosen[flat.topk(count).indices] = True  # a threshold would take all ties, such as zeros
    parts = torch.split(chosen, [value.numel() for value in magnitude.values()])
    pairs = zip(magnitude.items(), parts, strict=True)
    return {name: part.reshape(value.shape) for (name, value), part in pairs}


method = SalUn
