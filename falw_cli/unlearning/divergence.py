"""Divergence of a student's predictions from a teacher's, per sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.models import module_output
from falw_cli.unlearning.interfaces import StepSamples


def teacher_divergence(samples: StepSamples, teacher: nn.Module, temperature: float) -> Tensor:
    """Return the `divergence` of n samples' predictions from those of a frozen teacher, [n]."""
    if not len(samples.label):
        return samples.logits.new_zeros(0)
    with torch.no_grad():
        taught = module_output.logits(teacher(samples.images)).float()
    return divergence(samples.logits, taught, temperature)


def divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) of softened predictions, times temperature squared.

    Hinton et al., "Distilling the Knowledge in a Neural Network" (2015).

    Args:
        student, teacher: logits [n, C].
        temperature: > 0; divides both logits.

    Returns:
        [n], >= 0; only the student receives a gradient.
    """
    log_student = (student / temperature).log_softmax(1)
    log_teacher = (teacher.detach() / temperature).log_softmax(1)
    each = F.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return each.sum(1) * temperature**2
