"""What contradicts a verdict of forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.audit.contradictions import still_detected, uneven
from falw_cli.evaluation.metrics import Pairs
from tests.audit.reports import pairs, report


def test_a_mean_hides_no_samples_that_did_not_move() -> None:
    """Two of three samples are unchanged, and the third went three times too far."""
    before, expected = np.full(60, 0.95), np.full(60, 0.65)
    after = np.where(np.arange(60) % 3 == 0, 0.05, 0.95)
    assert (before - after).sum() == pytest.approx((before - expected).sum())  # a share of 100 %
    found = Pairs(expected=expected.tolist(), before=before.tolist(), after=after.tolist())
    assert uneven(found).startswith("only 33 % of what had to go")


def test_a_retrained_model_is_not_uneven() -> None:
    """Its predictions are spread around the expected ones."""
    rng = np.random.default_rng(0)
    expected = rng.beta(1, 1, 300)
    found = Pairs(
        expected=expected.tolist(), before=[0.99] * 300,
        after=(rng.random(300) < expected).astype(float).tolist(),
    )  # fmt: skip
    assert not uneven(found)
    assert not uneven(pairs(200))


def test_few_samples_are_not_judged_singly() -> None:
    assert not uneven(Pairs(expected=[0.5] * 5, before=[1.0] * 5, after=[1.0] * 5))


@pytest.mark.parametrize(("after", "contradicted"), [(6.0, True), (1.5, False)])
def test_a_list_that_is_as_evident_as_before(after: float, *, contradicted: bool) -> None:
    found = report(after).metrics
    assert bool(still_detected(found.before, found.after)) is contradicted
    assert not still_detected(None, found.after)
