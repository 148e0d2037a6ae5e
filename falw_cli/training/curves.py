"""Live curves of a run, logged at regular steps to the loggers of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from falw_cli.runtime import collectives

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LEAST = 100
"""A run of at least this many steps logs at least this many points."""
EVERY = 20
"""Maximum steps between two points. Each point waits for the device, so not every step logs one."""


class Curves:
    """Log of loss, learning rate and the objective's other figures, by step."""

    def __init__(self, fabric: Fabric, total: int) -> None:
        """Args: total, number of steps of the run."""
        self.fabric = fabric
        self.every = min(EVERY, max(1, total // LEAST))

    def due(self, done: int) -> bool:
        """Return whether to log a point after `done` steps."""
        return bool(self.fabric.loggers) and done % self.every == 0

    def add(self, done: int, loss: Tensor, lr: float, figures: Mapping[str, Tensor]) -> None:
        """Log the point after `done` steps. Every rank calls this; the first rank writes.

        Args: loss, this rank's share of the batch loss; figures, scalars known to this rank.
        """
        whole = collectives.total(loss, self.fabric) / self.fabric.world_size
        self.fabric.log_dict({"loss": whole, "lr": lr, **figures}, done)
