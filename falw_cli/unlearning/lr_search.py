"""Learning-rate search without a Retrain model: probes and tries, scored as by `--stop auto`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from falw_cli.config.settings import Config
from falw_cli.errors import DivergedError, RunError
from falw_cli.runtime.progress import Progress
from falw_cli.training.loop import Outcome
from falw_cli.unlearning.gradients import sensitivity
from falw_cli.unlearning.interfaces import load_method
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.run_data import RunData
from falw_cli.unlearning.stop_estimate import Evaluation
from falw_cli.unlearning.target import TargetQuality

FACTORS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Factors on the method's own learning rate."""
SHARE = 0.25
"""Share of the run's steps in which a probe completes the whole schedule."""
LONGER = 3
"""Factor on the steps of a short list that smaller and larger learning rates left far away."""
FAR = 0.25
"""Share of the original's distance from the expectation above which a run is still far from it."""
SUCCESS_SHARE = 0.15
"""Share of the original's score; a run that ends below it needs no other learning rate."""
LARGER_STEP_LOSS = 1.0
"""Accuracy, in percentage points, that a larger learning rate may cost beyond the first one: what
it gains on the forget samples must not be paid by all others."""
NOTHING_TO_FORGET = 2.0
"""Score in percent; a run that ends below it needs no other learning rate either."""
LONG_LIST = 50
"""Minimum number of samples of a list that gets the full learning rate."""
USUAL_SENSITIVITY, SENSITIVITY_SAMPLES = 10_000.0, 128
"""Largest sensitivity (see `gradients`) with the method's own learning rate; samples for it."""
SMALLEST_SCALE = 0.25
"""Minimum factor by which the sensitivity changes a learning rate."""


@dataclass(frozen=True)
class Probe:
    """A learning rate, and the evaluation after a short run with it; None if it diverged."""

    lr: float
    found: Evaluation | None
    allowed: bool


def best_rate(probes: list[Probe], before: Evaluation) -> float | None:
    """Return the learning rate of the best probe that the utility guard allows.

    None if no probe is closer to a retrained model than the original is.
    """
    scores = {p.lr: p.found.score for p in probes if p.allowed and p.found is not None}
    best = min(scores, key=lambda lr: scores[lr], default=None)
    return best if best is not None and scores[best] < before.score else None


def probe_rates(
    own: float,
    before: Evaluation,
    run: Callable[[float], tuple[Evaluation, bool]],
    progress: Progress,
) -> tuple[float, list[Probe]]:
    """Find a learning rate with short probes.

    Args:
        own: the method's default.
        before: evaluation of the original.
        run: probes a rate on a copy; returns the evaluation and whether the guard allows it.
        progress: receives a note on each probe.

    Raises:
        RunError: no probe kept utility and came closer to a retrained model.
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
        verdict = "" if allowed else ", accuracy loss too large"
        progress.note(f"probe lr {rate:.3g}: estimated gap {found.estimated_gap:.2f}{verdict}")
        probes.append(Probe(rate, found, allowed))
    rate_found = best_rate(probes, before)
    if rate_found is None:
        raise RunError(
            "no learning rate brings the model closer to a retrained one and keeps its accuracy "
            f"(tried {', '.join(f'{probe.lr:.3g}' for probe in probes)}); nothing was written",
            "use another --method, set --lr, or use a larger --max-utility-loss",
        )
    return rate_found, probes


class Plan(NamedTuple):
    """A whole run that may be tried."""

    lr: float
    longer: int = 1
    """Factor on the usual number of steps."""


@dataclass(frozen=True)
class Try:
    """A whole run, and its final weights."""

    plan: Plan
    outcome: Outcome | None = None
    """None if the run diverged; all others are then None too."""
    objective: Unlearning | None = None
    target_quality: TargetQuality | None = None
    best: Evaluation | None = None
    """Evaluation of the kept step; None if the guard allowed none, or nothing was evaluated."""
    weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.plan.lr

    @property
    def score(self) -> float:
        """The quantity that is minimised over tries."""
        return self.best.score if self.best else float("inf")


def scale_for(run_data: RunData, config: Config) -> float:
    """Return the learning-rate factor for a network, which must be the original, and its list."""
    found = sensitivity(run_data.network, run_data.retain, SENSITIVITY_SAMPLES)
    again = 1.0
    if run_data.careful(config):
        one_batch, longer = load_method(config.unlearn.method).again_rates
        again = one_batch if run_data.work(config, 1.0).per_epoch == 1 else longer
    return sensitivity_scale(found) * short_list_scale(len(run_data.forget)) * again


def short_list_scale(count: int) -> float:
    """Return the learning-rate factor for `count` samples: short lists need smaller steps."""
    return min(1.0, math.sqrt(count / LONG_LIST))


def sensitivity_scale(found: float) -> float:
    """Return the learning-rate factor for a network's sensitivity: a deep one needs smaller steps.

    A less sensitive network gets no larger steps: a small ViT (sensitivity 1,900) ended far from
    its retrained models at a rate of 0.0013, and close to them at 0.0005.
    """
    if not USUAL_SENSITIVITY < found < math.inf:
        return 1.0
    return max(SMALLEST_SCALE, math.sqrt(USUAL_SENSITIVITY / found))


def plans_for(rates: list[float], *, lengthens: bool) -> list[Plan]:
    """Return the runs that may be tried with these learning rates, the usual one first.

    Args: lengthens, whether the number of steps may grow: that of a short list is small.
    """
    longer = [Plan(lr, LONGER) for lr in rates if lengthens and lr >= rates[0]]
    return [*map(Plan, rates), *longer]


def next_plan(plans: list[Plan], tries: list[Try], before: Evaluation | None) -> Plan | None:
    """Return the next run: smaller steps if the first did harm, larger if it was too weak, or None.

    If these leave the list far from its expectation too, more steps.
    """
    if not tries:
        return plans[0]
    harmed, known = tries[0].best is None, [one.plan for one in tries]
    for plan in plans:
        more = not harmed and is_far(tries, before)
        wanted = more if plan.longer > 1 else (plan.lr < plans[0].lr) == harmed
        if wanted and plan not in known:
            return plan
    return None


def is_far(tries: list[Try], before: Evaluation | None) -> bool:
    """Return whether the closest of the tries left much of the distance from the expectation."""
    left = [one.best.distance for one in tries if one.best is not None]
    return before is not None and bool(left) and min(left) > FAR * before.distance


def succeeded(best: Evaluation | None, before: Evaluation | None) -> bool:
    """Return whether a run needs no other learning rate."""
    if best is None or before is None:
        return False
    return best.score <= max(SUCCESS_SHARE * before.score, NOTHING_TO_FORGET)


def objection(found: Evaluation, first: Evaluation | None) -> str:
    """Return what speaks against larger or more steps than the first; "" if nothing does.

    The accuracy on a few forget samples may agree with the expectation by chance, so that the
    true-class probability must come closer too.
    """
    if first is None:
        return ""
    if found.loss_from(first) > LARGER_STEP_LOSS:
        return "costs too much accuracy on other samples"
    return "" if found.distance <= first.distance else "comes no closer to the expectation"


def check_best(
    chosen: Try, tries: list[Try], before: Evaluation | None, max_loss: float, progress: Progress
) -> None:
    """Raise an error if the guard allowed no step; warn if the run came no closer."""
    rates = ", ".join(f"{one.lr:.3g}" for one in tries)
    if chosen.best is None:
        raise RunError(
            "no evaluated step kept retain and held-out accuracy within "
            f"{max_loss:g} points (learning rate {rates}); nothing was written",
            "use another --lr or --method, or a larger --max-utility-loss",
        )
    assert before is not None
    if chosen.best.score >= before.score > NOTHING_TO_FORGET:
        progress.warn(
            "the run came no closer to a retrained model: the estimated gap was "
            f"{before.estimated_gap:.2f} before and is {chosen.best.estimated_gap:.2f} now "
            f"(learning rate {rates})"
        )
