"""When to stop without a Retrain model: forget samples rest where unseen data rests.

The distance that a user can see: per class, the 1-Wasserstein distance between the true-class
probabilities of the forget samples and of held-out samples of the class, averaged with the forget
counts. Alone it is blind to a model that was harmed everywhere, so a guard on utility goes with it:
retain and held-out accuracy may fall by `max_loss` points and no further.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace

import torch
from torch import Tensor

from falw_cli.data.batches import Resident
from falw_cli.network import Network
from falw_cli.unlearning.gradients import spread_rows
from falw_cli.unlearning.target import true_class_probability

LOOKS = 16
"""Looks a run, spread evenly over its steps."""
PATIENCE = 5
"""Looks in a row without a new best moment, after which the run ends."""
SLACK = 0.02
"""Distances so close are alike: a class's distance rests on a hundred samples or fewer. Of moments
that are alike the later one is kept, where the learning rate is lower and the model calmer."""
EARLIEST = 0.75
"""Share of the steps before which no run ends: while the learning rate is high, a look says little
of where the run will settle."""
RETAIN_SAMPLES = 1000
"""Retain samples that the guard looks at, evenly spaced."""


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


@dataclass(frozen=True)
class Look:
    """What a look at the model found. `gap` is for study: no decision looks at it."""

    step: int
    distance: float
    retain_accuracy: float
    """Percent, on RETAIN_SAMPLES retain samples."""
    heldout_accuracy: float
    """Percent, each held-out sample counted by the share of its class that is retained."""
    gap: float | None = None


@dataclass(frozen=True)
class View:
    """The samples that a watch looks at, and how much each held-out sample counts, [N]."""

    forget: Resident
    guide: Resident
    retain: Resident
    share: Tensor

    @classmethod
    def of(cls, forget: Resident, retain: Resident, guide: Resident, num_classes: int) -> View:
        """A class that the list takes away as a whole has no held-out accuracy to keep."""
        left = torch.bincount(retain.labels, minlength=num_classes)
        gone = torch.bincount(forget.labels, minlength=num_classes)
        share = left / (left + gone).clamp(min=1)
        rows = spread_rows(len(retain), RETAIN_SAMPLES).to(retain.labels.device)
        some = Resident(retain.pixels[rows], retain.labels[rows])
        return cls(forget, guide, some, share[guide.labels])


def look(network: Network, view: View, step: int) -> Look:
    """Look at a model, in eval mode and without augmentation: distance, retain and held-out."""
    parts = [view.forget, view.guide, view.retain]
    logits = network.logits(torch.cat([part.pixels for part in parts]))
    forget, guide, retain = torch.split(logits, [len(part) for part in parts])
    distance = forget_distance(
        (true_class_probability(forget, view.forget.labels), view.forget.labels),
        (true_class_probability(guide, view.guide.labels), view.guide.labels),
        len(network.classes),
    )
    right = (guide.argmax(1) == view.guide.labels).float()
    kept = float((right * view.share).sum() / view.share.sum().clamp(min=1e-9))
    whole = float((retain.argmax(1) == view.retain.labels).float().mean())
    return Look(step, distance, 100 * whole, 100 * kept)


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

    The best is the closest to unseen data among those that the guard allows, the last of those that
    are within SLACK of it; the run ends PATIENCE looks or more after it, in the last quarter of its
    `total` steps.
    """
    best, since, least = None, 0, math.inf
    for found in curve:
        if allows(found, before, max_loss) and found.distance <= least + SLACK:
            best, since, least = found, 0, min(least, found.distance)
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
        found = look(network, self.view, done)
        if self.judge is not None:
            found = replace(found, gap=self.judge(network))
        self.curve.append(found)
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
            f"{how}; the weights of step {self.best.step} are kept: forget samples "
            f"{self.best.distance:.3f} from unseen ones (before: {self.before.distance:.3f})"
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
        kept["curve"] = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
        kept["best"] = torch.tensor(self.curve.index(self.best) if self.best else -1)
        kept["ended"] = torch.tensor(-1 if self.ended is None else self.ended)
        return kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.curve = [
            Look(int(row[0]), row[1], row[2], row[3], None if math.isnan(row[4]) else row[4])
            for row in state["curve"].tolist()
        ]
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
