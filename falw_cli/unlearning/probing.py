"""A learning rate without a Retrain model: short probes, judged as `--stop auto` judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from falw_cli.errors import RunError
from falw_cli.progress import Progress
from falw_cli.unlearning.looking import Look

FACTORS = (0.1, 0.3, 1.0, 3.0)
"""Of the method's own learning rate."""
SHARE = 0.25
"""A probe goes through the whole schedule in so much of the run's steps."""


@dataclass(frozen=True)
class Probe:
    """A learning rate, and where a short run with it ended; None where it diverged."""

    lr: float
    found: Look | None
    allowed: bool


def choose(probes: list[Probe]) -> float | None:
    """The learning rate whose probe has the smallest estimated gap within the guard on utility."""
    good = [probe for probe in probes if probe.allowed and probe.found is not None]
    if not good:
        return None
    return min(good, key=lambda probe: probe.found.estimated_gap if probe.found else 100.0).lr


def probe_rates(
    own: float, run: Callable[[float], tuple[Look, bool]], progress: Progress
) -> tuple[float, list[Probe]]:
    """Find a learning rate.

    Args:
        own: the method's default.
        run: a short run on a copy of the model -> a look at its end, and whether the guard allows.
        progress: for a note of what was found.

    Raises:
        RunError: no probe kept utility.
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
    rate_found = choose(probes)
    if rate_found is None:
        raise RunError(
            "no learning rate that was tried keeps retain and held-out accuracy",
            "give --lr, a larger --max-utility-loss, or another --method",
        )
    return rate_found, probes
