"""A learning rate without a Retrain model: short probes, judged as by `--stop auto`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from falw_cli.errors import RunError
from falw_cli.progress import Progress
from falw_cli.unlearning.stop_estimate import Look

FACTORS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Of the method's own learning rate."""
SHARE = 0.25
"""A probe goes through the whole schedule in so much of the run's steps."""


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
        except RunError as error:
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
