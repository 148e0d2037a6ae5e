"""A look at a model in the run, with what a user has: how far is it from a Retrain model?

Unseen data stands in for Retrain, to which forget samples are unseen too. Two figures follow:

1. The distance: per class, the 1-Wasserstein distance between the true-class probabilities of the
   forget samples and of held-out samples of the class, averaged with the forget counts. It is
   blind to a model that was harmed everywhere.
2. The estimated gap: Avg. Gap with a stand-in for each of Retrain's four figures. Held-out samples
   in the list's class mix stand in for its forget accuracy and MIA efficacy, the original for its
   retain and test accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from falw_cli.data.device import Samples
from falw_cli.network import Network
from falw_cli.unlearning.gradients import spread_rows

RETAIN_SAMPLES = 1000
UNSEEN_SAMPLES = 2000
FORGET_SAMPLES = 2000
"""Samples of each part that a look takes in at most, evenly spaced: the looks of a run are not to
cost more than its steps."""


def wasserstein(one: Tensor, other: Tensor) -> float:
    """1-Wasserstein distance of two samples of numbers, [n] and [m]: the area between their CDFs.

    Returns:
        A distance in the unit of the numbers; 0 for probabilities means that they are alike, 1 is
        the most.
    """
    points = torch.cat([one, other]).double().sort().values
    steps = points.diff()
    below = [
        torch.searchsorted(part.double().sort().values, points[:-1], right=True) / len(part)
        for part in (one, other)
    ]
    return float(((below[0] - below[1]).abs() * steps).sum())


def forget_distance(
    forget: tuple[Tensor, Tensor], unseen: tuple[Tensor, Tensor], num_classes: int
) -> float:
    """Mean over the forget samples of their class's distance to unseen data of the class.

    Args:
        forget: true-class probability [N_f] and class [N_f] of the forget samples.
        unseen: the same of the held-out samples, [N] each.
        num_classes: C.

    Returns:
        A distance in [0, 1]. A class without held-out samples is held against those of all classes.
    """
    total = 0.0
    for c in range(num_classes):
        mine = forget[0][forget[1] == c]
        if len(mine):
            theirs = unseen[0][unseen[1] == c]
            total += len(mine) * wasserstein(mine, theirs if len(theirs) else unseen[0])
    return total / max(1, len(forget[0]))


def best_threshold(member: Tensor, stranger: Tensor) -> float:
    """The true-class probability from which on a sample is best taken for a member.

    Best by balanced accuracy on `member` [n] and `stranger` [m]: the attack that the SVC of the
    metrics comes close to on one number, without its training.
    """
    candidates = torch.cat([member, stranger]).sort().values
    below = [
        torch.searchsorted(part.sort().values, candidates) / len(part)
        for part in (member, stranger)
    ]
    return float(candidates[int((below[1] - below[0]).argmax())])


@dataclass(frozen=True)
class Look:
    """What a look at the model found. `gap` is for study: no decision looks at it."""

    step: int
    distance: float
    estimated_gap: float
    """Percent."""
    retain_accuracy: float
    """Percent, on RETAIN_SAMPLES retain samples."""
    heldout_accuracy: float
    """Percent, each held-out sample counted by the share of its class that is retained."""
    gap: float | None = None


@dataclass(frozen=True)
class View:
    """The samples that a look takes in, and how much each held-out sample counts.

    `share` [N] counts it as what stays of its class, `mix` [N] as what goes; `mix` sums to 1.
    """

    forget: Samples
    guide: Samples
    retain: Samples
    share: Tensor
    mix: Tensor

    @classmethod
    def of(cls, forget: Samples, retain: Samples, guide: Samples, kept: Tensor) -> View:
        """`kept`: all retain samples of each class, [C].

        A class that the list takes away as a whole has no held-out accuracy to keep.
        """
        gone = torch.bincount(forget.labels, minlength=len(kept))
        forget, guide, retain = (
            _some(part, most)
            for part, most in (
                (forget, FORGET_SAMPLES), (guide, UNSEEN_SAMPLES), (retain, RETAIN_SAMPLES),
            )
        )  # fmt: skip
        share = kept / (kept + gone).clamp(min=1)
        held = torch.bincount(guide.labels, minlength=len(kept))
        # A class without held-out samples stands on the pool of all.
        pooled = gone[held == 0].sum() / max(1, len(guide))
        mix = (gone / held.clamp(min=1))[guide.labels] + pooled
        return cls(forget, guide, retain, share[guide.labels], mix / mix.sum().clamp(min=1e-9))


def _some(part: Samples, most: int) -> Samples:
    return part.of(spread_rows(len(part), most))


def look(network: Network, view: View, step: int, before: Look | None) -> Look:
    """Look at a model, in eval mode and without augmentation.

    Args:
        network, view: the model and the samples.
        step: steps taken so far.
        before: a look at the original; None if this is the original.
    """
    parts = [view.forget, view.guide, view.retain]
    found = [network.confidence(part) for part in parts]
    (forget, forget_right), (guide, guide_right), (retain, retain_right) = found
    kept = float((guide_right * view.share).sum() / view.share.sum().clamp(min=1e-9))
    threshold = best_threshold(retain, guide)
    off = [
        forget_right.float().mean() - (guide_right * view.mix).sum(),
        (forget < threshold).float().mean() - ((guide < threshold) * view.mix).sum(),
    ]
    now = Look(
        step,
        forget_distance(
            (forget, view.forget.labels), (guide, view.guide.labels), len(network.classes)
        ),
        100 * sum(abs(float(one)) for one in off) / 4,
        100 * float(retain_right.float().mean()),
        100 * kept,
    )
    return now if before is None else _with_harm(now, before)


def _with_harm(now: Look, before: Look) -> Look:
    """The estimated gap with what retain and held-out accuracy lost: Retrain would keep them."""
    lost = [
        max(0.0, before.retain_accuracy - now.retain_accuracy),
        max(0.0, before.heldout_accuracy - now.heldout_accuracy),
    ]
    return replace(now, estimated_gap=now.estimated_gap + sum(lost) / 4)
