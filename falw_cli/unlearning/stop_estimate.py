"""Estimate, without a retrained model, of how far the current model is from one.

The expectation of each forget sample replaces the prediction of a retrained model. This gives two
figures:

1. The distance: mean |true-class probability - expected one| over the forget samples. It does not
   measure harm to other samples.
2. The estimated gap: Avg. Gap with a substitute for each of the retrained model's four figures. The
   expectation replaces its forget accuracy and MIA efficacy; the original replaces its retain and
   test accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from falw_cli.data.device import Samples
from falw_cli.data.no_retain import UNKNOWN
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.gradients import spread_rows

RETAIN_SAMPLES = 1000
UNSEEN_SAMPLES = 2000
FORGET_SAMPLES = 2000
"""Maximum number of samples per part in one estimate, evenly spaced: the estimates of a run should
not cost more than its steps."""


def best_threshold(member: Tensor, non_member: Tensor) -> float:
    """Return the threshold of the true-class probability that best identifies members.

    Best by balanced accuracy on `member` [n] and `non_member` [m]. The SVC of the metrics comes
    close to this attack on one number, but needs training.
    """
    candidates = torch.cat([member, non_member]).sort().values
    below = [
        torch.searchsorted(part.sort().values, candidates) / len(part)
        for part in (member, non_member)
    ]
    return float(candidates[int((below[1] - below[0]).argmax())])


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of the model at one step. `gap` is for studies: no decision uses it."""

    step: int
    distance: float
    """Mean absolute difference from the expected true-class probability, in [0, 1]."""
    estimated_gap: float
    """Percent."""
    retain_accuracy: float
    """Percent, on RETAIN_SAMPLES retain samples."""
    heldout_accuracy: float
    """Percent, each held-out sample weighted by the share of its class that is retained."""
    gap: float | None = None

    @property
    def score(self) -> float:
        """The minimised score, percent: the estimated gap plus a quarter of the distance.

        The distance distinguishes models that the accuracy on a few samples does not.
        """
        return self.estimated_gap + 25 * self.distance

    def loss_from(self, before: Evaluation) -> float:
        """The larger loss of retain and held-out accuracy since `before`, percentage points."""
        return max(
            before.retain_accuracy - self.retain_accuracy,
            before.heldout_accuracy - self.heldout_accuracy,
        )


@dataclass(frozen=True)
class StoppingSamples:
    """The samples that an estimate uses, and the weight of each held-out sample.

    The weight of a held-out sample in `share` [N] is the share of its class that is retained.
    """

    forget: Samples
    guide: Samples
    retain: Samples
    share: Tensor
    expectation: Expectation
    """Expectation of `forget`."""
    without_members: bool = False
    """Whether `retain` are held-out samples, no members. The forget samples under the original then
    set the threshold of the attack."""

    def __len__(self) -> int:
        """Number of samples that an estimate uses."""
        return len(self.forget) + len(self.guide) + len(self.retain)

    @classmethod
    def of(
        cls,
        forget: Samples,
        retain: Samples,
        guide: Samples,
        kept: Tensor,
        expectation: Expectation,
    ) -> StoppingSamples:
        """Return the evaluated samples of a run.

        Args:
            forget, retain, guide: the parts.
            kept: number of retain samples per class, [C]; UNKNOWN if `retain` are held-out samples.
            expectation: of all forget samples.

        Held-out samples of a class that is entirely in the list have the weight 0.
        """
        gone = torch.bincount(forget.labels, minlength=len(kept))
        some = spread_rows(len(forget), FORGET_SAMPLES)
        guide = guide.of(spread_rows(len(guide), UNSEEN_SAMPLES))
        retain = retain.of(spread_rows(len(retain), RETAIN_SAMPLES))
        share = kept / (kept + gone).clamp(min=1)
        chosen = some.to(expectation.label.device)
        known, unknown = expectation.of(chosen), bool((kept >= UNKNOWN).all())
        return cls(forget.of(some), guide, retain, share[guide.labels], known, unknown)


def evaluate_step(
    network: Network, samples: StoppingSamples, step: int, before: Evaluation | None
) -> Evaluation:
    """Estimate how far a model is from a retrained one, in eval mode and without augmentation.

    Args:
        network, samples: the model and the samples.
        step: steps taken so far.
        before: the estimate of the original; None if this is the original.
    """
    parts = [samples.forget, samples.guide, samples.retain]
    found = [network.confidence(part) for part in parts]
    (forget, forget_right), (guide, guide_right), (retain, retain_right) = found
    kept = float((guide_right * samples.share).sum() / samples.share.sum().clamp(min=1e-9))
    members = samples.expectation.original if samples.without_members else retain
    threshold = best_threshold(members, guide)
    expected = samples.expectation.prob
    off = [
        forget_right.float().mean() - samples.expectation.correct.float().mean(),
        (forget < threshold).float().mean() - (expected < threshold).float().mean(),
    ]
    now = Evaluation(
        step,
        float((forget - expected).abs().mean()),
        100 * sum(abs(float(one)) for one in off) / 4,
        100 * float(retain_right.float().mean()),
        100 * kept,
    )
    if before is None:
        return now
    # Retrain keeps retain and held-out accuracy: add their loss to the estimated gap.
    lost = [
        max(0.0, before.retain_accuracy - now.retain_accuracy),
        max(0.0, before.heldout_accuracy - now.heldout_accuracy),
    ]
    return replace(now, estimated_gap=now.estimated_gap + sum(lost) / 4)
