"""Forgotten share: how far a model has moved towards the expectation of the forget samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from falw_cli.data.device import Samples, place
from falw_cli.data.splits import Splits
from falw_cli.evaluation.forgotten import FEW, forgotten_share
from falw_cli.evaluation.metrics import Figure, Pairs
from falw_cli.evaluation.scores import Counts, Vector
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import Expectation, expect

MAX_PAIRS = 2000
"""Maximum number of samples in the report's `pairs`."""


@dataclass(frozen=True)
class PairedProbabilities:
    """True-class probability of each forget sample: expected, before and after, [N_f] each."""

    label: Counts
    expected: Vector
    before: Vector
    after: Vector
    level: Vector
    """Expected probability of held-out samples, [M]."""
    error: Vector
    """True minus expected probability of these samples, [M]."""

    @classmethod
    def of(cls, expectation: Expectation, network: Network, forget: Samples) -> PairedProbabilities:
        """Evaluate a model on the forget samples.

        Args:
            expectation: of the forget samples, from the original model.
            network, forget: the model, and the forget samples.
        """
        vectors = (
            expectation.prob, expectation.original, network.confidence(forget)[0],
            expectation.level, expectation.error,
        )  # fmt: skip
        label = expectation.label.cpu().numpy()
        return cls(label, *(vector.double().cpu().numpy() for vector in vectors))

    @classmethod
    def from_splits(
        cls, original: Network, parts: Splits, network: Network
    ) -> PairedProbabilities | None:
        """Evaluate a model against its original; None without forget or held-out samples."""
        if not len(parts.heldout) or not len(parts.forget):
            return None
        device = original.fabric.device
        forget, retain, guide = (
            place(part, device) for part in (parts.forget, parts.retain, parts.heldout)
        )
        kept = torch.from_numpy(parts.kept).to(device)
        return cls.of(expect(original, forget, retain, guide, kept), network, forget)

    def share(self, classes: list[int] | None = None) -> Figure | None:
        """Return the forgotten share of all samples, or of the samples of some classes."""
        mine = slice(None) if classes is None else np.isin(self.label, classes)
        before, after, expected = (one[mine] for one in (self.before, self.after, self.expected))
        return forgotten_share(before, after, expected, self.level, self.error)

    def pairs(self) -> Pairs:
        """Return the report's `pairs`."""
        order = np.lexsort((self.after, self.before, self.expected))
        count = min(len(order), MAX_PAIRS)
        rows = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]
        expected, before, after = (
            one[rows].round(4).tolist() for one in (self.expected, self.before, self.after)
        )
        return Pairs(expected=expected, before=before, after=after)


def reason_for_no_share(expectation: Expectation | None) -> str:
    """Return why a list has no forgotten share, as the text of a warning."""
    if expectation is None:
        return "no forgotten share: there are no held-out samples to compare with"
    if len(expectation.level) < FEW:
        return f"no forgotten share: {len(expectation.level)} held-out samples, {FEW} are needed"
    return "no forgotten share: the original had not memorised the list, so nothing can be measured"
