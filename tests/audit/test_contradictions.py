"""What contradicts a verdict of forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.audit.contradictions import came_back, less_sure, still_detected, uneven
from falw_cli.audit.verdict import verdict
from falw_cli.evaluation.metrics import Figure, Metrics, Pairs
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


@pytest.mark.parametrize(
    ("steps", "kept", "contradicted"),
    [(1, 0, True), (0, 0, True), (2, 0, False), (None, 0, False), (1, 40, False)],
)
def test_a_class_that_is_recognised_at_once_was_masked(
    steps: int | None, kept: int, *, contradicted: bool
) -> None:
    found = report().model_copy(deep=True)
    assert found.comeback is not None
    assert found.comeback.relearned is not None
    assert found.metrics.after is not None
    found.comeback.relearned.returned_after = steps
    for one in found.metrics.after.per_class.values():
        one.retain_count = kept
    assert bool(came_back(found)) is contradicted


@pytest.mark.parametrize(("fall", "contradicted"), [(0.1, False), (0.3, True)])
def test_a_model_that_is_less_sure_of_unseen_samples_too(
    fall: float, *, contradicted: bool
) -> None:
    """A class that keeps no sample should not be predicted, so it does not count."""
    before = report(1.5).metrics.before
    assert before is not None
    gone, *kept = before.per_class

    def fallen(by: float) -> Metrics:
        changed = {
            name: before.per_class[name].model_copy(
                update={"unseen_probability": 0.8 - by, "retain_count": 0 if name == gone else 9}
            )
            for name in (gone, *kept)
        }
        changed[gone] = changed[gone].model_copy(update={"unseen_probability": 0.8 - 8 * by})
        return before.model_copy(update={"per_class": changed})

    assert bool(less_sure(fallen(0), fallen(fall))) is contradicted
    assert not less_sure(None, fallen(fall))


@pytest.mark.parametrize(
    ("then", "now", "contradicted"),
    [
        ((0.999, 0.98, 1.0), (0.978, 0.93, 0.99), True),  # intervals overlap
        ((0.999, 0.998, 1.0), (0.95, 0.94, 0.96), True),  # a small fall, however sure
        ((0.74, 0.71, 0.77), (0.65, 0.62, 0.68), False),  # a retrained model without a class
        ((0.999, 0.998, 1.0), (0.6, 0.5, 0.7), False),  # not surely detected
    ],
)
@pytest.mark.parametrize("share", [(90, 80, 110), (90, 60, 200), (200, 150, 300)])
def test_a_list_that_is_detected_is_not_called_forgotten(
    then: tuple[float, ...], now: tuple[float, ...], share: tuple[float, ...], *, contradicted: bool
) -> None:
    """A model that is less sure of all samples has a share, but is detected nearly as clearly."""

    def figure(found: tuple[float, ...]) -> Figure:
        return Figure(value=found[0], lower=found[1], upper=found[2])

    def metrics(found: Metrics | None, auc: tuple[float, ...]) -> Metrics:
        assert found is not None
        assert found.mia is not None
        mia = found.mia.model_copy(update={"difficulty_matched": figure(auc)})
        return found.model_copy(update={"mia": mia, "forgotten_share": figure(share)})

    made = report(1.5)
    both = made.metrics
    both = both.model_copy(
        update={"before": metrics(both.before, then), "after": metrics(both.after, now)}
    )
    quiet = {"metrics": both, "per_sample": None, "pairs": None, "gates": []}
    headline = verdict(made.model_copy(update=quiet)).headline
    claimed = headline.startswith(("Forgotten", "Over-forgotten")) or "at least" in headline
    assert claimed is not contradicted
    assert ("difficulty-matched AUC" in headline) is contradicted
