"""Random labels (RL): each forget sample is trained on a wrong label.

Graves, Nagisetty and Ganesh, "Amnesiac Machine Learning" (AAAI 2021); the base method of FaLW's
Algorithm 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class RandomLabel(Method):
    """Cross-entropy against a label drawn once for each forget sample, never the true one.

    Drawing only from the other C - 1 classes is our interpretation: a true label would teach what
    should be forgotten.
    """

    defaults = {"lr": 0.1, "epochs": 4}

    def __init__(self, inputs: MethodInputs, settings: Settings) -> None:
        """See `Method`. `drawn` holds the random label of each forget sample, int64 [N_f]."""
        label = inputs.forget.labels
        shift = torch.randint(1, inputs.num_classes, label.shape, generator=inputs.generator)
        self.drawn = (label + shift.to(label.device)) % inputs.num_classes

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the cross-entropy against the drawn labels, [n]."""
        return F.cross_entropy(samples.logits, self.drawn[samples.position], reduction="none")


method = RandomLabel
