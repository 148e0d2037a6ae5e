"""Accuracy, in percent."""

from __future__ import annotations

from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> float | None:
    """Share of samples whose largest logit is the true class's, in percent.

    Args:
        logits: [N, C], model in eval mode, images without augmentation.
        labels: int64 [N].

    Returns:
        Percent in [0, 100], or None where there are no samples.
    """
    if not len(labels):
        return None
    return (logits.argmax(dim=1) == labels).double().mean().item() * 100
