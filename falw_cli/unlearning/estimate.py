"""Estimates of the target distribution: exact, or from a rotation of held-out samples.

The paper computes mu and sigma over all held-out samples at every step, which costs as much as
several plain steps. `Streaming` evaluates a few samples at a time and reuses earlier results.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from falw_cli.data.splits import class_aware_order
from falw_cli.unlearning.target import Target

PERIOD = 8
"""Steps between two passes of `Streaming`: one larger pass costs less than many small ones."""
PER_STEP = 0.1
"""Held-out samples per step that `Streaming` evaluates, as a share of the batch. Per sample, this
forward pass costs a third of a training step."""
RECENCY = 0.75
"""Weight of a result relative to one that is a period newer: the model has changed since."""


class Estimate(Protocol):
    """Current target distribution, updated during a run."""

    separate_pass: ClassVar[bool]
    """Whether forget samples are evaluated in a separate pass (eval mode, without augmentation);
    otherwise the training pass is used."""
    target: Target

    def due(self, step: int) -> Tensor | None:
        """Return the rows of the held-out samples to evaluate before this step, int64, or None."""

    def take(self, step: int, rows: Tensor, prob: Tensor) -> None:
        """Update the estimate with the rows' true-class probabilities before this step."""

    def effective_samples(self) -> Tensor:
        """Return the effective number of samples in the estimate of each class, [C]."""

    def state(self) -> dict[str, Tensor]:
        """Return what is needed to resume after an interruption."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""


class Exact:
    """Estimate from all held-out samples, at every `every`-th step: FaLW equation 1."""

    separate_pass: ClassVar[bool] = True

    def __init__(self, label: Tensor, num_classes: int, every: int) -> None:
        """Args: label, class of each held-out sample [N]."""
        self.every = every
        self.target = Target.of(torch.zeros_like(label, dtype=torch.float32), label, num_classes)
        self._last: int | None = None

    def due(self, step: int) -> Tensor | None:
        """See `Estimate`."""
        if self._last is not None and step - self._last < self.every:
            return None
        return torch.arange(len(self.target.label), device=self.target.label.device)

    def take(self, step: int, rows: Tensor, prob: Tensor) -> None:
        """See `Estimate`."""
        self._last = step
        self.target = Target.of(prob, self.target.label, len(self.target.mu))

    def effective_samples(self) -> Tensor:
        """See `Estimate`."""
        return self.target.count.float()

    def state(self) -> dict[str, Tensor]:
        """See `Estimate`."""
        last = torch.tensor(-1 if self._last is None else self._last)
        return {"prob": self.target.prob, "last": last}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Estimate`."""
        last = int(state["last"])
        self._last = None if last < 0 else last
        prob = state["prob"].to(self.target.prob.device)
        self.target = Target.of(prob, self.target.label, len(self.target.mu))


class Streaming:
    """Estimate from all held-out samples before the first step, then from a rotation of them.

    Earlier results are reused: a result that is k periods old has the weight RECENCY ** k. The
    estimate is exact at the first step, nearly exact while the model is stable, and lags while the
    model changes. docs/target.md compares it with the exact estimate.
    """

    separate_pass: ClassVar[bool] = False

    def __init__(self, label: Tensor, num_classes: int, batch_size: int, seed: int) -> None:
        """Args: label, class of each held-out sample [N]; seed, for the order of the rotation."""
        self.target = Target.of(torch.zeros_like(label, dtype=torch.float32), label, num_classes)
        self.block = max(1, round(PER_STEP * batch_size * PERIOD))
        order = class_aware_order(label.cpu().numpy(), np.random.default_rng([seed, 5]))
        self._order = torch.from_numpy(order).to(label.device)
        self._age = torch.zeros_like(self.target.prob)
        self._period = -1

    def due(self, step: int) -> Tensor | None:
        """See `Estimate`."""
        period = step // PERIOD
        if period == self._period:
            return None
        if self._period < 0 or len(self._order) <= self.block:
            return self._order
        begin = period * self.block
        place = torch.arange(begin, begin + self.block, device=self._order.device)
        return self._order[place % len(self._order)]

    def take(self, step: int, rows: Tensor, prob: Tensor) -> None:
        """See `Estimate`."""
        self._period = step // PERIOD
        known = self.target.prob.clone()
        known[rows] = prob
        self._age += 1
        self._age[rows] = 0
        self.target = Target.of(known, self.target.label, len(self.target.mu), self._counts())

    def _counts(self) -> Tensor:
        return torch.pow(RECENCY, self._age)

    def effective_samples(self) -> Tensor:
        """See `Estimate`."""
        zeros, counts = torch.zeros_like(self.target.mu), self._counts()
        total = zeros.index_add(0, self.target.label, counts)
        squares = zeros.index_add(0, self.target.label, counts.square())
        return total.square() / squares.clamp(min=1e-9)

    def state(self) -> dict[str, Tensor]:
        """See `Estimate`."""
        return {
            "prob": self.target.prob, "age": self._age, "period": torch.tensor(self._period)
        }  # fmt: skip

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Estimate`."""
        self._age, self._period = state["age"].to(self._age.device), int(state["period"])
        known = state["prob"].to(self._age.device)
        self.target = Target.of(known, self.target.label, len(self.target.mu), self._counts())
