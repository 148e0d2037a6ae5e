"""Earlier requests: whether a run taught the model their samples again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np

from falw_cli.data.device import place
from falw_cli.data.splits import Part
from falw_cli.evaluation.forgotten import HALF
from falw_cli.evaluation.intervals import Z, wilson
from falw_cli.evaluation.metrics import Figure, Figures
from falw_cli.evaluation.predictions import Predictions
from falw_cli.evaluation.scores import Counts, SamplePredictions, Vector
from falw_cli.models.network import Network

LEAST = 0.05
"""Smallest margin of `remeasure`."""
Answer = Literal["yes", "no", "cannot tell"]
"""Whether a list is still forgotten."""


class Remeasured(Figures):
    """Mean true-class probability of an earlier request's samples, from 0 to 1."""

    samples: int
    before: Figure | None
    """Before this run; None if the model before it is not at hand."""
    after: Figure
    rise: Figure | None
    """After minus before, less the same of unseen samples of the same class mix. Above 0: learned
    again."""
    margin: float | None
    """Rise that divides "still forgotten" from "learned again"."""
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
    forgotten: bool | None = None
    """Whether the run that made this model forget the list did so, as far as its audit shows; None
    if no such run is known. Unless it is true, the list is not called still forgotten."""
    remeasured: Remeasured | None = None
    """None if no sample is at hand, or all are on the forget list."""


class EarlierRequests(Figures):
    """The earlier requests of a run."""

    left_out: int
    """Samples in the training data that are neither forget nor retain samples."""
    requests: list[EarlierRequest]
    number: int | None = None
    """Lists that this model was made to forget before, without the present one; None if an older
    falw wrote the report."""


def remeasure(
    before: SamplePredictions | None,
    after: SamplePredictions,
    others_before: Predictions | None,
    others_after: Predictions,
) -> Remeasured:
    """Return whether the samples of an earlier request are still forgotten after a run.

    They should behave as unseen samples do: a run may change the confidence in both, and only the
    difference is evidence of learning. Its interval has the standard deviation of single samples
    within their class, the larger one of both groups, so that it is valid from one sample on.

    The rule is a test of equivalence with one side, since a fall is no relearning. Its margin is
    half of the way from the mean before to the mean of retain samples of the same classes, as half
    of the way is what divides forgotten from not forgotten in the built-in gate; it is LEAST or
    more, since a list that was never memorised has no way to go. "yes": the whole interval is below
    the margin; "no": the whole interval is above it; otherwise "cannot tell".

    Args:
        before, after: predictions for the request's samples, [N], N > 0.
        others_before, others_after: predictions for retain and test samples.
    """
    rise, margin = None, None
    answer: Answer = "cannot tell"
    if before is not None and others_before is not None and len(others_after.test.prob):
        rise = _excess(
            after.prob - before.prob, after.labels,
            others_after.test.prob - others_before.test.prob, others_after.test.labels,
        )  # fmt: skip
        retained = _at_mix(others_after.retain.prob, others_after.retain.labels, after.labels)
        margin = max(LEAST, HALF / 100 * float((retained - before.prob).mean()))
        answer = "yes" if rise.upper < margin else "no" if rise.lower > margin else answer
    return Remeasured(
        samples=len(after.prob), before=_mean(before.prob) if before else None,
        after=_mean(after.prob), rise=rise, margin=margin, still_forgotten=answer,
    )  # fmt: skip


def _at_mix(values: Vector, labels: Counts, wanted: Counts) -> Vector:
    """Return the mean of the class of each wanted sample; of all where its class is empty. [N]"""
    result = np.full(len(wanted), float(values.mean()) if len(values) else 0.0)
    for label in np.unique(wanted):
        if (labels == label).any():
            result[wanted == label] = values[labels == label].mean()
    return result


def _mean(prob: Vector) -> Figure:
    mean = float(prob.mean())
    lower, upper = wilson(mean, len(prob))
    return Figure(value=mean, lower=lower, upper=upper)


def _excess(mine: Vector, labels: Counts, unseen: Vector, unseen_labels: Counts) -> Figure:
    """Return the mean of `mine` less that of `unseen` at the same class mix, with its interval."""
    expected = _at_mix(unseen, unseen_labels, labels)
    matched = np.isin(unseen_labels, labels)
    matched = matched if matched.any() else ~matched
    rest = (unseen - _at_mix(unseen, unseen_labels, unseen_labels))[matched]
    centred = [mine - expected - (mine - expected).mean(), rest]
    deviation = max(float(np.sqrt((one**2).sum() / max(len(one) - 1, 1))) for one in centred)
    half = Z * deviation * float(np.sqrt(1 / len(mine) + 1 / len(rest)))
    value = float((mine - expected).mean())
    return Figure(value=value, lower=value - half, upper=value + half)


def predictions(network: Network, parts: Sequence[Part]) -> list[SamplePredictions | None]:
    """Return the network's predictions for each earlier request; None for one without samples."""
    device = network.fabric.device
    return [
        SamplePredictions.of(network, place(one, device)) if len(one) else None for one in parts
    ]
