"""Earlier requests: whether a run taught the model their samples again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np

from falw_cli.data.device import place
from falw_cli.data.splits import Part
from falw_cli.evaluation.intervals import Z, wilson
from falw_cli.evaluation.metrics import Figure, Figures
from falw_cli.evaluation.scores import Counts, SamplePredictions, Vector
from falw_cli.models.network import Network

MARGIN = 0.1
"""Rise of the mean true-class probability that counts as learned again; see `remeasure`."""
Answer = Literal["yes", "no", "cannot tell"]


class Remeasured(Figures):
    """Mean true-class probability of an earlier request's samples, from 0 to 1."""

    samples: int
    before: Figure | None
    """Before this run; None if the model before it is not at hand."""
    after: Figure
    rise: Figure | None
    """After minus before, less the same of unseen samples of the same class mix. Above 0: learned
    again."""
    still_forgotten: Answer


class EarlierRequest(Figures):
    """A request that the model, or one that it was made from, already forgot."""

    source: Literal["list", "ledger", "process", "checkpoint"]
    """Where it is known from: --forgotten, the ledger, an earlier call in the same process, or only
    the metadata of the checkpoint."""
    sha256: str | None
    """SHA-256 of its list; None if an older falw did not store it."""
    count: int | None
    """IDs on its list; None if only the checkpoint names it."""
    in_data: int | None
    """How many of them are still in the training data."""
    recorded: datetime | None = None
    """When the ledger recorded it."""
    remeasured: Remeasured | None = None
    """None if no sample is at hand, or all are on the forget list."""


class EarlierRequests(Figures):
    """The earlier requests of a run."""

    left_out: int
    """Samples in the training data that are neither forget nor retain samples."""
    requests: list[EarlierRequest]


def remeasure(
    before: SamplePredictions | None,
    after: SamplePredictions,
    unseen_before: SamplePredictions | None,
    unseen_after: SamplePredictions,
) -> Remeasured:
    """Return whether the samples of an earlier request are still forgotten after a run.

    They should behave as unseen samples do: a run may change the confidence in both, and only the
    difference is evidence of learning. Its interval has the standard deviation of single samples
    within their class, the larger one of both groups, so that it is valid from one sample on. The
    rule is a test of equivalence with one side, since a fall is no relearning: "yes" if the whole
    interval is below MARGIN, "no" if the whole interval is above MARGIN, and "cannot tell"
    otherwise. MARGIN is a tenth of the scale, as in the verdict on forget and unseen samples: lists
    that a run uses as retain samples rise by several tenths (docs/second-request.md), and lists
    that it leaves out by less than 0.05.

    Args:
        before, after: predictions for the request's samples, [N], N > 0.
        unseen_before, unseen_after: predictions for test samples, [M].
    """
    count = len(after.prob)
    rise = None
    if before is not None and unseen_before is not None and len(unseen_after.prob):
        rise = _excess(
            after.prob - before.prob, after.labels,
            unseen_after.prob - unseen_before.prob, unseen_after.labels,
        )  # fmt: skip
    answer: Answer = "cannot tell"
    if rise is not None:
        answer = "yes" if rise.upper < MARGIN else "no" if rise.lower > MARGIN else answer
    return Remeasured(
        samples=count, before=_mean(before.prob) if before else None, after=_mean(after.prob),
        rise=rise, still_forgotten=answer,
    )  # fmt: skip


def _mean(prob: Vector) -> Figure:
    mean = float(prob.mean())
    lower, upper = wilson(mean, len(prob))
    return Figure(value=mean, lower=lower, upper=upper)


def _excess(mine: Vector, labels: Counts, unseen: Vector, unseen_labels: Counts) -> Figure:
    """Return the mean of `mine` less that of `unseen` at the same class mix, with its interval."""
    classes = np.unique(labels)
    expected = np.full(len(mine), float(unseen.mean()))
    for label in classes:
        if (unseen_labels == label).any():
            expected[labels == label] = unseen[unseen_labels == label].mean()
    matched = unseen[np.isin(unseen_labels, classes)]
    matched = matched if len(matched) else unseen
    centred = [one - one.mean() for one in (mine - expected, matched)]
    deviation = max(float(np.sqrt((one**2).sum() / max(len(one) - 1, 1))) for one in centred)
    half = Z * deviation * float(np.sqrt(1 / len(mine) + 1 / len(matched)))
    value = float((mine - expected).mean())
    return Figure(value=value, lower=value - half, upper=value + half)


def predictions(network: Network, parts: Sequence[Part]) -> list[SamplePredictions | None]:
    """Return the network's predictions for each earlier request; None for one without samples."""
    device = network.fabric.device
    return [
        SamplePredictions.of(network, place(one, device)) if len(one) else None for one in parts
    ]
