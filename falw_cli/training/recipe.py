"""Optimizer and learning-rate schedule of a recipe, both from torch."""

from __future__ import annotations

from typing import Any

from torch import nn, optim
from torch.optim import lr_scheduler

from falw_cli.config.settings import Recipe


def optimizer(module: nn.Module, recipe: Recipe) -> optim.Optimizer:
    """Return SGD with momentum, or AdamW, over all parameters; fused on a GPU."""
    fused = all(weights.is_cuda for weights in module.parameters())
    how: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": fused}
    if recipe.optimizer == "adamw":
        return optim.AdamW(module.parameters(), **how)
    return optim.SGD(module.parameters(), momentum=recipe.momentum, **how)


def schedule(chosen: optim.Optimizer, recipe: Recipe, total_steps: int) -> lr_scheduler.LRScheduler:
    """Return the learning-rate schedule over `total_steps`; step it after each step."""
    if recipe.schedule == "step":
        milestones = [total_steps // 2, total_steps * 3 // 4]
        return lr_scheduler.MultiStepLR(chosen, milestones, gamma=0.1)
    if recipe.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(chosen, total_steps)
    if recipe.schedule == "one-cycle":
        # One more step than the run takes: the schedule is also stepped after the last step.
        steps = total_steps + 1
        # In a run of a few steps, the warm-up must still have a positive length.
        rise = max(0.2, 1.5 / steps)
        return lr_scheduler.OneCycleLR(
            chosen, recipe.lr, steps, pct_start=rise, cycle_momentum=False
        )
    return lr_scheduler.ConstantLR(chosen, factor=1.0)
