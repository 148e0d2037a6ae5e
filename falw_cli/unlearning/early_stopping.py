"""Early stopping without a Retrain model, where the estimated gap to one is smallest.

`stop_estimate` defines the estimate. A utility guard limits the loss of retain and held-out
accuracy to `max_loss` points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace

import torch
from torch import Tensor

from falw_cli.models.network import Network, copy_weights
from falw_cli.training.state import below
from falw_cli.unlearning.stop_estimate import Evaluation, StoppingSamples, evaluate_step

MAX_EVALUATIONS, MIN_EVALUATIONS = 16, 6
"""Evaluations per run at most and at least, spread evenly over its steps."""
STEP_COST = 3
"""Cost of a training step in forward passes of the same batch: forward, and twice that backward."""
PATIENCE = 5
"""Evaluations without a new best step after which the run ends."""
SLACK = 0.5
"""Scores within this many points count as equal: they are based on some hundred samples. Of equal
steps the latest is kept, where the learning rate is lower and the model changes less."""
EARLIEST = 0.75
"""Share of the steps before which no run ends: while the learning rate is high, an evaluation says
little about the final model."""


def affordable_evaluations(samples: int, steps: int, batch_size: int) -> int:
    """Return the number of evaluations of `samples` that cost about as much as a run's steps."""
    return max(MIN_EVALUATIONS, min(MAX_EVALUATIONS, STEP_COST * steps * batch_size // samples))


def allows(found: Evaluation, before: Evaluation, max_loss: float) -> bool:
    """Return whether the utility guard allows this step; `max_loss` in percentage points."""
    return (
        found.retain_accuracy >= before.retain_accuracy - max_loss
        and found.heldout_accuracy >= before.heldout_accuracy - max_loss
    )


def decide(
    curve: Sequence[Evaluation],
    before: Evaluation,
    max_loss: float,
    total: int,
    loss_weight: float = 0.0,
) -> tuple[Evaluation | None, int | None]:
    """Return the best evaluation so far, and the step at which the run ended, or None.

    The best evaluation is the last one within SLACK of the smallest score, among those that the
    guard allows. The score is `Evaluation.score` plus `loss_weight` times the loss of accuracy,
    which the estimated gap counts with a quarter. The run ends at least PATIENCE evaluations after
    the best one, in the last quarter of its `total` steps.
    """
    best, since, least = None, 0, math.inf
    for found in curve:
        score = found.score + loss_weight * max(0.0, found.loss_from(before))
        if allows(found, before, max_loss) and score <= least + SLACK:
            best, since, least = found, 0, min(least, score)
        elif best is not None:
            since += 1
            if since >= PATIENCE and found.step >= EARLIEST * total:
                return best, found.step
    return best, None


@dataclass
class EarlyStopping:
    """Early stopping: evaluates a run at intervals, keeps the best weights, and ends the run."""

    samples: StoppingSamples
    before: Evaluation
    """Evaluation of the original, the baseline of the guard."""
    max_loss: float
    """Percentage points that retain and held-out accuracy may fall."""
    decides: bool = True
    """Whether to end the run and keep its best weights; False only records."""
    measure_gap: Callable[[Network], float | None] | None = None
    """Returns the Avg. Gap, for studies; the run then continues to its end."""
    evaluations: int = MAX_EVALUATIONS
    """Number of evaluations per run."""
    loss_weight: float = 0.0
    """See `decide`."""
    curve: list[Evaluation] = field(default_factory=list)
    best: Evaluation | None = None
    ended: int | None = None
    """Step at which the run ended, or would have ended without `measure_gap`."""
    _weights: dict[str, Tensor] = field(default_factory=dict)

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """Evaluate the model if it is due; return the reason to stop, or None."""
        every = max(1, math.ceil(total / self.evaluations))
        if done % every and done != total:
            return None
        found = evaluate_step(network, self.samples, done, self.before)
        if self.measure_gap is not None:
            found = replace(found, gap=self.measure_gap(network))
        self.curve.append(found)
        figures = {k: v for k, v in asdict(found).items() if v is not None and k != "step"}
        logged = {f"evaluation/{name}": value for name, value in figures.items()}
        network.fabric.log_dict(logged, done)
        if not self.decides or self.ended is not None:
            return None
        self.best, self.ended = decide(
            self.curve, self.before, self.max_loss, total, self.loss_weight
        )
        if self.best is found:
            self._weights = copy_weights(network.module)
        return self.reason() if self.ended is not None and self.measure_gap is None else None

    def reason(self) -> str:
        """Return why the run ended and which weights are kept, for the report."""
        assert self.best is not None
        how = f"no better step in {PATIENCE} or more evaluations" if self.ended else "run complete"
        return (
            f"{how}; the weights of step {self.best.step} are kept: estimated gap "
            f"{self.best.estimated_gap:.2f} (before: {self.before.estimated_gap:.2f})"
        )

    def restore_best(self, network: Network) -> bool:
        """Restore the weights of the best step. Return False if the guard allowed no step."""
        if self.best is None:
            return False
        network.module.load_state_dict(self._weights)
        return True

    def state(self) -> dict[str, Tensor]:
        """Return what is needed to resume after an interruption."""
        rows = [[math.nan if v is None else v for v in astuple(one)] for one in self.curve]
        kept = {f"weights/{name}": value for name, value in self._weights.items()}
        kept["curve"] = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(fields(Evaluation)))
        kept["best"] = torch.tensor(self.curve.index(self.best) if self.best else -1)
        kept["ended"] = torch.tensor(-1 if self.ended is None else self.ended)
        return kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        names = [one.name for one in fields(Evaluation)]
        self.curve = []
        for row in state["curve"].tolist():
            values = dict(zip(names, row, strict=True))
            step, gap = int(values.pop("step")), values.pop("gap")
            self.curve.append(Evaluation(step, gap=None if math.isnan(gap) else gap, **values))
        best, ended = int(state["best"]), int(state["ended"])
        self.best = self.curve[best] if best >= 0 else None
        self.ended = ended if ended >= 0 else None
        device = self.samples.share.device
        self._weights = {k: v.to(device) for k, v in below("weights/", state).items()}
