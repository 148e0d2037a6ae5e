"""A learning rate without a Retrain model: probes and further tries, judged as by `--stop auto`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from falw_cli.errors import DivergedError, RunError
from falw_cli.runtime.progress import Progress
from falw_cli.training.loop import Outcome
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.stop_estimate import Look
from falw_cli.unlearning.target import Standing

FACTORS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Of the method's own learning rate."""
SHARE = 0.25
"""A probe goes through the whole schedule in so much of the run's steps."""
ARRIVED = 0.15
"""Of the original's score: a run that ends below it needs no other step size."""
NOTHING_TO_FORGET = 2.0
"""A score below which a run needs no other step size either, percent."""
LONG_LIST = 100
"""Samples from which on a list gets the whole step size."""
SHORTEST_SCALE = 0.4
"""Factor of the step size for the shortest lists."""


@dataclass(frozen=True)
class Probe:
    """A learning rate, and where a short run with it ended; None where it diverged."""

    lr: float
    found: Look | None
    allowed: bool


def choose(probes: list[Probe], before: Look) -> float | None:
    """The learning rate whose probe has the best score within the guard on utility.

    None where no probe is closer to a retrained model than the original is.
    """
    scores = {p.lr: p.found.score for p in probes if p.allowed and p.found is not None}
    best = min(scores, key=lambda lr: scores[lr], default=None)
    return best if best is not None and scores[best] < before.score else None


def probe_rates(
    own: float, before: Look, run: Callable[[float], tuple[Look, bool]], progress: Progress
) -> tuple[float, list[Probe]]:
    """Find a learning rate.

    Args:
        own: the method's default.
        before: the estimate of the original.
        run: a short run on a copy of the model -> a look at its end, and whether the guard allows.
        progress: for a note of what was found.

    Raises:
        RunError: no probe kept utility and came closer.
    """
    probes = []
    for factor in FACTORS:
        rate = own * factor
        try:
            found, allowed = run(rate)
        except DivergedError as error:
            progress.note(f"probe lr {rate:.3g}: {error}")
            probes.append(Probe(rate, None, False))
            continue
        verdict = "" if allowed else ", harms too much"
        progress.note(f"probe lr {rate:.3g}: estimated gap {found.estimated_gap:.2f}{verdict}")
        probes.append(Probe(rate, found, allowed))
    rate_found = choose(probes, before)
    if rate_found is None:
        raise RunError(
            "no learning rate brings the model closer to a retrained one and keeps its accuracy "
            f"(tried {', '.join(f'{probe.lr:.3g}' for probe in probes)}); nothing was written",
            "take another --method, give --lr, or a larger --max-utility-loss",
        )
    return rate_found, probes


@dataclass(frozen=True)
class Try:
    """A run with one learning rate, and the weights that it ended with."""

    lr: float
    outcome: Outcome | None
    """None where the run diverged, and `objective` too."""
    objective: Unlearning | None
    standing: Standing | None
    best: Look | None
    """The moment that is kept; None where the guard allowed none, or nothing was looked at."""
    weights: dict[str, Tensor]

    @property
    def score(self) -> float:
        """What is minimised among several tries."""
        return self.best.score if self.best else float("inf")


def diverged(lr: float) -> Try:
    """A try that ended in a loss that is not finite."""
    return Try(lr, None, None, None, None, {})


def short_list_scale(count: int) -> float:
    """Factor of the step size for a list of `count` samples: a short one needs little movement."""
    return min(1.0, max(SHORTEST_SCALE, math.sqrt(count / LONG_LIST)))


def next_rate(rates: list[float], tries: list[Try]) -> float | None:
    """The first rate; then smaller ones where the first did harm, larger ones where it was weak."""
    if not tries:
        return rates[0]
    harmed = tries[0].best is None
    known = [one.lr for one in tries]
    left = (lr for lr in rates if lr not in known and (lr < rates[0]) == harmed)
    return next(left, None)


def arrived(best: Look | None, before: Look | None) -> bool:
    """Whether a run needs no other step size."""
    if best is None or before is None:
        return False
    return best.score <= max(ARRIVED * before.score, NOTHING_TO_FORGET)


def check_best(
    chosen: Try, tries: list[Try], before: Look | None, max_loss: float, progress: Progress
) -> None:
    """Refuse a run without an allowed moment; warn of one that came no closer."""
    rates = ", ".join(f"{one.lr:.3g}" for one in tries)
    if chosen.best is None:
        raise RunError(
            "no moment of the run kept retain and held-out accuracy within "
            f"{max_loss:g} points (learning rate {rates}); nothing was written",
            "take another --lr or --method, or a larger --max-utility-loss",
        )
    assert before is not None
    if chosen.best.score >= before.score > NOTHING_TO_FORGET:
        progress.warn(
            "the run came no closer: the estimated gap to a retrained model was "
            f"{before.estimated_gap:.2f} before and is {chosen.best.estimated_gap:.2f} "
            f"(learning rate {rates})"
        )
