"""What shadow models say against a verdict of forgotten."""

from __future__ import annotations

import math

from falw_cli.evaluation.per_sample import PerSample

EVIDENT = 90.0
"""Membership, percent, from which a sample counts as distinguished."""
ENOUGH = 2 * math.ceil((2 * EVIDENT - 100) / (100 - EVIDENT))
"""Number of shadow models that can show this membership, see `Evidence.membership`."""
TOO_FEW = (
    f"With fewer than {ENOUGH} shadow models, no sample of a short list can have a membership of "
    f"{EVIDENT:.0f} %: they cannot contradict the verdict “Forgotten”."
)
MOST = 0.5
"""Share of the list from which shadow models contradict a verdict."""


def limit(found: PerSample) -> str:
    """Return what so few shadow models cannot show on the samples of a short list."""
    least = f"{found.smallest_rate or 0:.1f} %"
    text = f"{found.models} models cannot show a false-positive rate (FPR) below {least}."
    return text if found.models >= ENOUGH else f"{text} {TOO_FEW}"


def distinguished(found: PerSample | None) -> str:
    """Return how much of the list shadow models distinguish from never seen; "" if less than MOST.

    Args: found, the report's section, if it has one.
    """
    if found is None:
        return ""
    if found.samples:
        evident = sum(round(one.after.membership, 6) >= EVIDENT for one in found.samples)
        if evident < MOST * len(found.samples):
            return ""
        return (
            f"shadow models distinguish {evident} of {len(found.samples)} samples from samples "
            f"never seen (at a false-positive rate of {found.smallest_rate:.0f} % or more)"
        )
    attacks = {"U-LiRA": found.ulira, "RMIA": found.rmia}
    shares = {name: one.distinguished.value for name, one in attacks.items() if one}
    name = max(shares, key=lambda one: shares[one], default="")
    if not name or shares[name] < 100 * MOST:
        return ""
    return (
        f"{name} distinguishes {shares[name]:.0f} % of the samples from samples never seen (at a "
        "false-positive rate of 1 %)"
    )
