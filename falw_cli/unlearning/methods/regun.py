"""ReGUn: forget samples are distilled towards predictions for held-out samples of their class.

Mirlach, Laguna and Vogt, "Reference-Guided Machine Unlearning" (arXiv 2603.11210, 2026): the
reference is the original's mean prediction for held-out samples of the forget samples' classes; the
forget loss is the KL divergence from it, the retain loss cross-entropy. The paper draws held-out
samples for each batch, with the batch's class histogram; here each class has the mean over all its
held-out samples, without the noise of the draw.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples


class ReGUn(Method):
    """KL divergence from the class's mean held-out prediction; cross-entropy on retain samples."""

    needs_guide = True
    search_from = 0.1
    defaults = {"lr": "auto", "epochs": 4}

    def __init__(self, inputs: MethodInputs, settings: Settings) -> None:
        """See `Method`. `reference` holds the reference prediction of each class, [C, C]."""
        prob = inputs.network.predict(inputs.guide).softmax(1)
        self.reference = class_means(prob, inputs.guide.labels, inputs.num_classes)

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the KL divergence of the prediction from the reference of the class, [n]."""
        log_prob = samples.logits.log_softmax(1)
        return F.kl_div(log_prob, self.reference[samples.label], reduction="none").sum(1)


def class_means(prob: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Mean prediction per class, [C, C]; for a class without samples, the mean of all samples.

    Args:
        prob: predictions [m, C] of samples with classes `label` [m].
        num_classes: C.
    """
    total = prob.new_zeros(num_classes, num_classes).index_add(0, label, prob)
    count = torch.bincount(label, minlength=num_classes)[:, None]
    return torch.where(count > 0, total / count.clamp(min=1), prob.mean(0))


method = ReGUn
