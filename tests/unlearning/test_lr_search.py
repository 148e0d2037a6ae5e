"""A learning rate without a Retrain model."""

from __future__ import annotations

import pytest

from falw_cli.errors import RunError
from falw_cli.progress import Silent
from falw_cli.unlearning.lr_search import FACTORS, probe_rates
from falw_cli.unlearning.stop_estimate import Look


def at(gap: float) -> Look:
    return Look(0, 0.1, gap, 99.0, 70.0)


def test_the_closest_probe_within_the_guard_wins() -> None:
    """The rate that comes closest of all harms too much; the largest diverges."""
    own = 0.01
    found = {
        0.03: (at(0.5), True),
        0.1: (at(0.3), True),
        0.3: (at(0.2), True),
        1.0: (at(0.05), False),
    }

    def run(lr: float) -> tuple[Look, bool]:
        factor = min(FACTORS, key=lambda f: abs(f * own - lr))
        if factor not in found:
            raise RunError("the loss is nan", "take a smaller --lr")
        return found[factor]

    lr, probes = probe_rates(own, at(0.6), run, Silent())
    assert lr == pytest.approx(0.3 * own)
    assert [probe.found is None for probe in probes] == [False, False, False, False, True]


def test_nothing_is_chosen_where_all_probes_harm() -> None:
    with pytest.raises(RunError, match="no learning rate"):
        probe_rates(0.1, at(0.6), lambda _: (at(0.1), False), Silent())


def test_nothing_is_chosen_where_no_probe_comes_closer() -> None:
    """A rate that leaves the model further away than it was must not be taken."""
    with pytest.raises(RunError, match="no learning rate"):
        probe_rates(0.1, at(0.1), lambda _: (at(0.2), True), Silent())
