"""Forgotten share of a run: its expectation, and the reason if there is no share."""

from __future__ import annotations

import torch

from falw_cli.data.device import place
from falw_cli.data.splits import Splits
from falw_cli.evaluation.forgotten import (
    FEW,
    MEMORISED,
    WIDEST,
    ExpectedProbabilities,
    excess_of,
)
from falw_cli.evaluation.membership import no_trace
from falw_cli.evaluation.metrics import Metrics
from falw_cli.models.network import Network
from falw_cli.runtime.precision import wide
from falw_cli.runtime.printable import counted
from falw_cli.unlearning.expectation import Expectation, expect


def expected_probabilities(found: Expectation) -> ExpectedProbabilities:
    """Return an expectation's true-class probabilities, for the audit."""
    vectors = (found.original, found.prob, found.level, found.error)
    label = found.label.cpu().numpy()
    return ExpectedProbabilities(label, *(wide(one).cpu().numpy() for one in vectors))


def expected_from(original: Network, parts: Splits) -> ExpectedProbabilities | None:
    """Return the forget samples' expected probabilities; None without held-out or forget samples.

    Args:
        original: the model before unlearning.
        parts: the samples of a run.
    """
    if not len(parts.heldout) or not len(parts.forget):
        return None
    device = original.fabric.device
    forget, retain, guide = (
        place(part, device) for part in (parts.forget, parts.retain, parts.heldout)
    )
    kept = torch.from_numpy(parts.kept).to(device)
    return expected_probabilities(expect(original, forget, retain, guide, kept))


def reason_for_no_share(
    found: ExpectedProbabilities | None, original: Metrics | None = None
) -> str:
    """Return why a list has no forgotten share, as the text of a warning.

    Args: found, the expectation; original, the metrics of the model before unlearning.
    """
    if found is None:
        return "no forgotten share: there are no held-out samples to compare with"
    if len(found.level) < FEW:
        return (
            f"no forgotten share: {counted(len(found.level), 'held-out sample')}, {FEW} are needed"
        )
    if original is not None and original.mia is not None and no_trace(original.mia):
        return (
            "no forgotten share: the original shows no trace of the list, which it predicts like "
            "unseen samples, not like its training samples: it had not memorised the list, or was "
            "not trained on it"
        )
    if excess_of(found.before, found.expected) >= MEMORISED:
        return (
            "no forgotten share: the original had memorised too little of the list, for its size: "
            f"the interval would be wider than {WIDEST:g} points"
        )
    return "no forgotten share: the original had not memorised the list, so nothing can be measured"
