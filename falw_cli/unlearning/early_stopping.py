"""When to stop without a Retrain model: where the estimated gap to one is smallest.

`stop_estimate` says what is estimated. A guard on utility goes with it: retain and held-out
accuracy may fall by `max_loss` points and no further.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, fields, replace

import torch
from torch import Tensor

from falw_cli.models.network import Network
from falw_cli.unlearning.stop_estimate import Look, View, look

LOOKS = 16
"""Looks a run, spread evenly over its steps."""
PATIENCE = 5
"""Looks in a row without a new best moment, after which the run ends."""
SLACK = 0.5
"""Estimated gaps so close, in percentage points, are alike: they rest on some hundred samples. Of
moments that are alike the later one is kept, where the learning rate is lower, the model calmer."""
EARLIEST = 0.75
"""Share of the steps before which no run ends: while the learning rate is high, a look says little
of where the run will settle."""


def allows(found: Look, before: Look, max_loss: float) -> bool:
    """Does the guard on utility allow this moment? `max_loss` in percentage points."""
    return (
        found.retain_accuracy >= before.retain_accuracy - max_loss
        and found.heldout_accuracy >= before.heldout_accuracy - max_loss
    )


def decide(
    curve: Sequence[Look], before: Look, max_loss: float, total: int
) -> tuple[Look | None, int | None]:
    """The best moment of a run so far, and the step at which the run ended, if it did.

    The best has the smallest score (`Look.score`) among those that the guard allows, or is the last
    of those that are within SLACK of it; the run ends PATIENCE looks or more after it, in the last
    quarter of its `total` steps.
    """
    best, since, least = None, 0, math.inf
    for found in curve:
        if allows(found, before, max_loss) and found.score <= least + SLACK:
            best, since, least = found, 0, min(least, found.score)
        elif best is not None:
            since += 1
            if since >= PATIENCE and found.step >= EARLIEST * total:
                return best, found.step
    return best, None


class Watch:
    """Looks at a run now and then, keeps the weights of the best moment, and ends the run."""

    def __init__(
        self,
        view: View,
        before: Look,
        max_loss: float,
        *,
        decides: bool = True,
        judge: Callable[[Network], float | None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            view: the samples to look at.
            before: a look at the original, which the guard measures against.
            max_loss: percentage points that retain and held-out accuracy may fall.
            decides: False only records.
            judge: the Avg. Gap of a moment, for study; the run then goes on to its end.
        """
        self.view = view
        self.before = before
        self.max_loss = max_loss
        self.decides = decides
        self.judge = judge
        self.curve: list[Look] = []
        self.best: Look | None = None
        self.ended: int | None = None
        """The step at which the run ended, or would have."""
        self._weights: dict[str, Tensor] = {}

    def look(self, network: Network, done: int, total: int) -> str | None:
        """Look if it is time; the reason to stop, or None."""
        every = max(1, math.ceil(total / LOOKS))
        if done % every and done != total:
            return None
        found = look(network, self.view, done, self.before)
        if self.judge is not None:
            found = replace(found, gap=self.judge(network))
        self.curve.append(found)
        seen = {f"look/{k}": v for k, v in asdict(found).items() if v is not None and k != "step"}
        network.fabric.log_dict(seen, done)
        if not self.decides or self.ended is not None:
            return None
        self.best, self.ended = decide(self.curve, self.before, self.max_loss, total)
        if self.best is found:
            state = network.module.state_dict()
            self._weights = {name: value.detach().clone() for name, value in state.items()}
        return self.reason() if self.ended is not None and self.judge is None else None

    def reason(self) -> str:
        """Why the run ended where it did, for the report."""
        assert self.best is not None
        how = f"no closer moment in {PATIENCE} looks or more" if self.ended else "the run was over"
        return (
            f"{how}; the weights of step {self.best.step} are kept: estimated gap "
            f"{self.best.estimated_gap:.2f} (before: {self.before.estimated_gap:.2f})"
        )

    def settle(self, network: Network) -> bool:
        """Put back the weights of the best moment; False where the guard allowed none."""
        if self.best is None:
            return False
        network.module.load_state_dict(self._weights)
        return True

    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on after an interruption."""
        rows = [[math.nan if v is None else v for v in astuple(one)] for one in self.curve]
        kept = {f"weights/{name}": value for name, value in self._weights.items()}
        kept["curve"] = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(fields(Look)))
        kept["best"] = torch.tensor(self.curve.index(self.best) if self.best else -1)
        kept["ended"] = torch.tensor(-1 if self.ended is None else self.ended)
        return kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        names = [field.name for field in fields(Look)]
        self.curve = []
        for row in state["curve"].tolist():
            values = dict(zip(names, row, strict=True))
            step, gap = int(values.pop("step")), values.pop("gap")
            self.curve.append(Look(step, gap=None if math.isnan(gap) else gap, **values))
        best, ended = int(state["best"]), int(state["ended"])
        self.best = self.curve[best] if best >= 0 else None
        self.ended = ended if ended >= 0 else None
        device = self.view.share.device
        prefix = "weights/"
        self._weights = {
            name[len(prefix) :]: value.to(device)
            for name, value in state.items()
            if name.startswith(prefix)
        }
