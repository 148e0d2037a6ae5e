"""Recovery of forgotten samples after rounding the weights and after relearning a few of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.audit.report import Comeback, Relearned, Rounded
from falw_cli.config.settings import Recipe
from falw_cli.data.batches import Batch
from falw_cli.data.device import Samples
from falw_cli.data.splits import class_aware_order
from falw_cli.evaluation.changes import paired_change
from falw_cli.evaluation.metrics import Figure
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.evaluation.roc import matching
from falw_cli.evaluation.scores import SamplePredictions
from falw_cli.models import module_output
from falw_cli.models.network import Network
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.precision import wide
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import Work, fit
from falw_cli.training.run import CrossEntropy

FEW = 0.1
"""Fraction of the forget samples that is relearned."""
MEASURED_AT = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50)
"""Steps after which the accuracy on the other forget samples is measured."""
LR = 0.005
SLACK = 1.0
"""Percentage points below the original's accuracy that still count as recovered."""
ROUNDED = ("fp16", "int8")


def comeback(
    network: Network,
    parts: EvaluationSamples,
    predictions: Predictions,
    references: Sequence[Network],
    original: Network | None,
) -> Comeback | None:
    """Measure recovery by rounding the weights and by relearning; the network is not changed.

    Args:
        network: the model after unlearning.
        parts: forget, retain and test samples.
        predictions: the network's, for these samples; their seed draws the samples to relearn.
        references: Retrain models, which learn the samples for the first time.
        original: the model before unlearning; None if it is not available.

    Returns:
        None without forget samples.
    """
    if not len(parts.forget):
        return None
    rounded = {kind: _rounded(network, parts, predictions, kind) for kind in ROUNDED}
    again = _relearned(network, parts, references, original, predictions.seed)
    return Comeback(**rounded, relearned=again)


def round_weights(module: nn.Module, kind: str) -> None:
    """Round a module's weights in place: to float16, or to int8 with a scale per output channel."""
    with torch.no_grad():
        for weights in module.parameters():
            if kind == "fp16":
                weights.copy_(weights.half().to(weights.dtype))
            elif weights.ndim > 1:
                largest = weights.abs().flatten(1).max(dim=1).values
                scale = (largest / 127).clamp(min=1e-30).reshape(-1, *[1] * (weights.ndim - 1))
                weights.copy_((weights / scale).round() * scale)


def _rounded(
    network: Network, parts: EvaluationSamples, predictions: Predictions, kind: str
) -> Rounded:
    small = network.copy()
    round_weights(small.module, kind)
    return Rounded(
        forget_change=_change(predictions.forget, small, parts.forget),
        test_change=_change(predictions.test, small, parts.test),
    )


def _change(before: SamplePredictions, network: Network, samples: Samples) -> Figure | None:
    if not len(samples):
        return None
    difference = wide(network.confidence(samples)[1]).cpu().numpy() - before.correct
    return paired_change(difference)


class _Relearning(CrossEntropy):
    """Cross-entropy on a few samples, which records the accuracy on other samples."""

    def __init__(self, others: Samples, unseen: Samples, mix: Tensor) -> None:
        """Args: mix: weights of the unseen samples, [N], which sum to 1."""
        super().__init__(0.0)
        self.others, self.unseen, self.mix = others, unseen, mix
        self.curve: list[tuple[int, float, float]] = []

    def backward(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """See `Objective`; eval mode, as a few samples would distort BatchNorm's statistics."""
        network.module.eval()
        loss = F.cross_entropy(module_output.logits(network.module(images)), batch.labels)
        network.fabric.backward(loss)
        return loss.detach()

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """See `Objective`."""
        if done in MEASURED_AT:
            self.record(network, done)
        return None

    def record(self, network: Network, done: int) -> None:
        """Record the accuracy on other forget samples and on class-matched unseen ones, percent."""
        own = 100 * float(wide(network.confidence(self.others)[1]).mean())
        right = wide(network.confidence(self.unseen)[1])
        self.curve.append((done, own, 100 * float((right * self.mix.to(right.device)).sum())))


def _relearned(
    network: Network,
    parts: EvaluationSamples,
    references: Sequence[Network],
    original: Network | None,
    seed: int,
) -> Relearned | None:
    forget = parts.forget
    labels = forget.labels.cpu().numpy()
    order = class_aware_order(labels, np.random.default_rng([seed, 14]))
    cut = max(1, round(FEW * len(labels)))
    if len(labels) - cut < 1 or not len(parts.test):
        return None
    first, rest = np.sort(order[:cut]), np.sort(order[cut:])
    few, others = (forget.of(torch.from_numpy(rows)) for rows in (first, rest))
    unseen, mix = _unseen(parts.test, labels[rest], seed)

    def curve(one: Network) -> list[tuple[int, float, float]]:
        trial = one.copy()
        objective = _Relearning(others, unseen, mix)
        objective.record(trial, 0)
        recipe = Recipe(
            lr=LR,
            schedule="constant",
            weight_decay=0.0,
            epochs=MEASURED_AT[-1],
            batch_size=len(few),
        )
        fit(trial, Work(few, 0, recipe, seed, "relearn"), objective, Silent(), Interrupt(), None)
        return objective.curve

    known = original or network
    measured = others if original else parts.retain
    if not len(measured):  # --no-retain, and no original
        return None
    goal = 100 * float(wide(known.confidence(measured)[1]).mean()) - SLACK
    own, retrain = curve(network), [curve(one) for one in references]
    return Relearned(
        samples=len(few),
        goal=goal,
        returned_after=_first(own, goal),
        reference_returned_after=[_first(one, goal) for one in retrain],
        excess=_excess(own),
        reference_excess=[_excess(one) for one in retrain],
        curve=own,
        reference_curve=retrain[0] if retrain else [],
    )


def _unseen(test: Samples, labels: npt.NDArray[np.int64], seed: int) -> tuple[Samples, Tensor]:
    """Return at most `len(labels)` test samples, and weights [N] that match `labels`' class mix."""
    there = test.labels.cpu().numpy()
    order = class_aware_order(there, np.random.default_rng([seed, 15]))
    rows = np.sort(order[: len(labels)])
    weights = torch.from_numpy(matching(labels, there[rows])[1])
    return test.of(torch.from_numpy(rows)), weights


def _excess(curve: list[tuple[int, float, float]]) -> float:
    """Return the largest gain of other forget samples minus that of unseen ones, in points."""
    _, own, unseen = curve[0]
    return max((others - own) - (non_members - unseen) for _, others, non_members in curve)


def _first(curve: list[tuple[int, float, float]], goal: float) -> int | None:
    return next((step for step, others, _ in curve if others >= goal), None)
