"""The curves of a run: a point now and then, for the loggers of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from falw_cli.runtime import collectives

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LEAST = 100
"""Points that a run of so many steps has at least."""
EVERY = 20
"""Most steps between two points: each waits for the device."""


class Curves:
    """Loss, learning rate and what else an objective knows, by step."""

    def __init__(self, fabric: Fabric, total: int) -> None:
        """Args: total, steps of the run."""
        self.fabric = fabric
        self.every = min(EVERY, max(1, total // LEAST))

    def due(self, done: int) -> bool:
        """Is there a point after so many steps?"""
        return bool(self.fabric.loggers) and done % self.every == 0

    def add(self, done: int, loss: Tensor, lr: float, figures: Mapping[str, Tensor]) -> None:
        """The point after `done` steps; every rank calls, the first one writes.

        Args: loss, a rank's share of the batch's; figures, each a scalar, as this rank knows it.
        """
        whole = collectives.total(loss, self.fabric) / self.fabric.world_size
        self.fabric.log_dict({"loss": whole, "lr": lr, **figures}, done)
