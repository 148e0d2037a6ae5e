"""Boundary expand (BE): train the forget samples on an additional class, then remove the class.

Chen et al., "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision
Boundary" (CVPR 2023), section 3.3: the classifier gets a shadow class C + 1, the forget samples
are trained on it, and its output is pruned.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.errors import RequestError
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class BoundaryExpand(Method):
    """Cross-entropy of all forget samples against one shadow class; no weighting, as published."""

    uses_retain = False
    retain_free = True
    weightable = False
    defaults = {"lr": 3e-3, "epochs": 5}

    def __init__(self, inputs: MethodInputs, settings: Settings) -> None:
        """See `Method`. Replaces the module's last linear layer by a `Widened` one.

        Raises:
            RequestError: the architecture does not end in a linear layer of C outputs.
        """
        self.module = inputs.network.module
        self.shadow = inputs.num_classes
        heads = [
            name
            for name, part in self.module.named_modules()
            if isinstance(part, nn.Linear) and part.out_features == self.shadow
        ]
        if not heads or heads[-1] == "":
            raise RequestError(
                f"boundary-expand cannot widen {inputs.network.arch}: it has no last linear layer",
                "take another --method",
            )
        self.place, _, self.name = heads[-1].rpartition(".")
        head = getattr(self.module.get_submodule(self.place), self.name)
        setattr(self.module.get_submodule(self.place), self.name, Widened(head, inputs.generator))

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the cross-entropy against the shadow class, [n]; logits are [n, C + 1]."""
        target = torch.full_like(samples.label, self.shadow)
        return F.cross_entropy(samples.logits, target, reduction="none")

    def finish(self) -> None:
        """Prune the shadow class."""
        parent = self.module.get_submodule(self.place)
        setattr(parent, self.name, getattr(parent, self.name).head)


class Widened(nn.Module):
    """A linear layer with one additional output in train mode; unchanged in eval mode."""

    def __init__(self, head: nn.Linear, generator: torch.Generator) -> None:
        """Initialise the weights of the additional output as torch does for a linear layer."""
        super().__init__()
        self.head = head
        bound = 1 / math.sqrt(head.in_features)
        row = (torch.rand(1, head.in_features, generator=generator) * 2 - 1) * bound
        self.extra = nn.Parameter(row.to(head.weight))
        self.extra_bias = nn.Parameter(torch.zeros(1).to(head.weight))

    def forward(self, features: Tensor) -> Tensor:
        """[n, features] -> [n, C + 1] in train mode, [n, C] in eval mode."""
        known: Tensor = self.head(features)
        if not self.training:
            return known
        return torch.cat([known, F.linear(features, self.extra, self.extra_bias)], dim=1)


method = BoundaryExpand
