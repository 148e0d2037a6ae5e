"""The full audit on synthetic models with known properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from falw_cli.evaluation.forgotten import ExpectedProbabilities
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import FIELD
from falw_cli.evaluation.predictions import Predictions
from falw_cli.evaluation.scores import SamplePredictions, columns
from falw_cli.unlearning.forgotten_share import reason_for_no_share

CLASSES = ("a", "b", "c", "d")
TRUTH = {"forget": np.repeat([0, 1, 2, 3], [120, 60, 20, 3]), "retain": np.repeat(range(4), 200),
         "test": np.repeat(range(4), 150)}  # fmt: skip


def model(seed: int, forget: float, unseen: float = 1.5, retain: float = 6.0) -> Predictions:
    """Predictions whose true-class logits are higher by the given mean, one number per part."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, lift in (("forget", forget), ("retain", retain), ("test", unseen)):
        label = TRUTH[name]
        logits = rng.normal(size=(len(label), 4))
        logits[np.arange(len(label)), label] += lift
        found = columns(torch.from_numpy(logits), torch.from_numpy(label)).numpy().T
        parts.append(SamplePredictions(label, found[0].astype(np.int64), *found[1:]))
    return Predictions(CLASSES, *parts, seed=0)


@pytest.fixture(scope="module")
def retrains() -> list[Predictions]:
    return [model(seed, forget=1.5) for seed in (1, 2, 3)]


def test_incomplete_forgetting_is_detected(retrains: list[Predictions]) -> None:
    found = full_audit(model(9, 6.0), model(8, forget=4.0), retrains, FIELD)
    after = found.metrics.after
    assert after.mia is not None
    assert after.distance is not None
    assert after.mia.auc.lower > 0.6
    assert after.distance.p_value <= 0.01
    assert after.distance.lower > after.distance.chance
    assert after.groups is not None
    assert after.groups.head.intervals["deviation"].lower > 0
    assert found.metrics.seeds is not None
    assert found.metrics.seeds.verdict == "outside"
    gap = after.intervals["avg_gap"]
    assert after.avg_gap is not None
    assert gap.lower < after.avg_gap < gap.upper
    assert found.metrics.before is not None
    assert found.metrics.before.avg_gap is not None
    assert found.metrics.before.avg_gap > after.avg_gap


def test_another_retrained_model_is_within_the_noise(retrains: list[Predictions]) -> None:
    found = full_audit(None, model(7, forget=1.5), retrains, FIELD)
    assert found.metrics.after.mia is not None
    assert found.metrics.after.distance is not None
    assert found.metrics.after.mia.auc.lower < 0.5 < found.metrics.after.mia.auc.upper
    assert found.metrics.after.distance.p_value > 0.05
    assert found.metrics.seeds is not None
    assert found.metrics.seeds.verdict == "within"
    assert found.metrics.seeds.pairs == 3
    assert found.metrics.changes is None


def test_retain_samples_are_distinguished_from_unseen_samples(retrains: list[Predictions]) -> None:
    found = full_audit(None, model(7, forget=1.5), [], FIELD)
    assert found.metrics.after.mia is not None
    assert found.metrics.after.mia.retained is not None
    assert found.metrics.after.mia.retained.auc.lower > 0.8
    assert (found.metrics.reference, found.metrics.seeds, found.metrics.noise_floor) == (
        None,
        None,
        None,
    )


def test_changes_are_relative_to_the_original() -> None:
    before = model(1, forget=6.0)
    same = full_audit(before, before, [], FIELD).metrics.changes
    assert same is not None
    assert same.test_agreement is not None
    assert same.test_agreement.value == 100
    worse = full_audit(before, model(2, forget=1.5, unseen=0.0), [], FIELD).metrics.changes
    assert worse is not None
    change = worse.per_class["b"].test_accuracy
    assert change is not None
    assert change.upper < 0


def test_few_samples_give_a_warning() -> None:
    found = full_audit(None, model(1, forget=1.5), [], FIELD)
    assert any("class 'd'" in warning for warning in found.warnings)
    assert any("0.1 % false positives" in warning for warning in found.warnings)
    assert found.metrics.after.distance is not None
    assert set(found.metrics.after.distance.per_class) == {"a", "b", "c"}


def test_the_gap_consists_of_the_requested_metrics(retrains: list[Predictions]) -> None:
    weights = {"mia_auc": 1.0, "tail_accuracy": 3.0}
    found = full_audit(None, model(8, forget=4.0), retrains, weights)
    after, mean = found.metrics.after, found.metrics.reference
    assert after.mia is not None
    assert after.groups is not None
    assert mean is not None
    assert mean.mia is not None
    assert mean.groups is not None
    auc = 100 * abs(after.mia.auc.value - mean.mia.auc.value)
    tail = abs((after.groups.tail.forget_accuracy or 0) - (mean.groups.tail.forget_accuracy or 0))
    assert after.avg_gap == pytest.approx((auc + 3 * tail) / 4)
    assert "avg_gap" in after.intervals
    assert "extra_metrics" not in after.model_dump()


def test_results_are_reproducible(retrains: list[Predictions]) -> None:
    once, again = (full_audit(None, model(8, 4.0), retrains, FIELD) for _ in range(2))
    assert once.metrics.after == again.metrics.after


@pytest.mark.parametrize(("forget", "shared"), [(6.0, True), (1.5, False)])
def test_an_original_without_a_trace_of_the_list_gives_no_share(
    forget: float, shared: bool
) -> None:
    """The expectation is too low by 0.2, as it can be for a list that was not trained on."""
    original = model(0, forget)
    before, unseen = original.forget.prob, original.test.prob
    truth = model(1, 1.5).forget.prob
    expected = ExpectedProbabilities(
        original.forget.labels,
        before,
        np.clip(truth - 0.2, 0.01, 1),
        unseen,
        unseen - unseen.mean(),
    )
    found = full_audit(original, model(2, 1.5), [], FIELD, expected).metrics
    assert found.after is not None
    assert expected.share(before) is not None
    assert (found.after.forgotten_share is not None) == shared
    assert ("no trace" in reason_for_no_share(expected, found.before)) != shared
