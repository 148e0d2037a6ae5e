"""Whether an earlier list is still forgotten: an equivalence rule, from one sample on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from falw_cli.evaluation.earlier import LEAST, remeasure
from falw_cli.evaluation.predictions import Predictions
from falw_cli.evaluation.scores import SamplePredictions, Vector


def of(prob: Vector, labels: Vector | None = None) -> SamplePredictions:
    labels = np.zeros(len(prob), dtype=np.int64) if labels is None else labels
    return cast(SamplePredictions, SimpleNamespace(prob=prob, labels=labels))


def others(test: Vector, retain: float = 1.0) -> Predictions:
    found = SimpleNamespace(test=of(test), retain=of(np.full(50, retain)))
    return cast(Predictions, found)


@pytest.mark.parametrize(
    ("rise", "count", "answer"),
    [(0.0, 200, "yes"), (0.4, 200, "no"), (0.25, 200, "cannot tell"), (0.0, 2, "cannot tell"),
     (-0.3, 200, "yes")],
)  # fmt: skip
def test_the_answer_follows_from_the_interval(rise: float, count: int, answer: str) -> None:
    # The list is at 0.5 before, retain samples at 1: the margin is 0.25. All samples change by 0.2.
    rng = np.random.default_rng(0)
    test = rng.uniform(0.3, 0.5, 300)
    before = np.full(count, 0.5)
    after = before + rise + rng.normal(0, 0.2, count).clip(-0.4, 0.4)
    noisy = test + rng.normal(0, 0.2, 300)
    found = remeasure(of(before), of(after), others(test), others(noisy))
    assert found.still_forgotten == answer
    assert found.margin == pytest.approx(0.25)
    assert found.samples == count


def test_a_change_of_all_samples_is_no_relearning() -> None:
    rng = np.random.default_rng(0)
    test = rng.uniform(0.2, 0.5, 300)
    before = rng.uniform(0.2, 0.5, 100)
    found = remeasure(of(before), of(before + 0.4), others(test), others(test + 0.4))
    assert found.rise is not None
    assert found.rise.value == pytest.approx(0)
    assert found.still_forgotten == "yes"


def test_the_class_mix_of_unseen_samples_is_matched() -> None:
    labels = np.array([0] * 10 + [1] * 90)
    change = np.where(labels == 0, 0.3, 0.0)
    test = SimpleNamespace(test=of(np.zeros(100), labels), retain=of(np.ones(9)))
    then = cast(Predictions, test)
    test_after = SimpleNamespace(test=of(change, labels), retain=of(np.ones(9)))
    mine = np.zeros(20, dtype=np.int64)
    found = remeasure(
        of(np.full(20, 0.5), mine), of(np.full(20, 0.8), mine), then,
        cast(Predictions, test_after),
    )  # fmt: skip
    assert found.rise is not None
    assert found.rise.value == pytest.approx(0)


def test_without_the_model_before_it_cannot_tell() -> None:
    found = remeasure(None, of(np.full(9, 0.5)), None, others(np.full(9, 0.5)))
    assert (found.before, found.rise, found.still_forgotten) == (None, None, "cannot tell")


def test_a_list_that_was_never_memorised_has_the_smallest_margin() -> None:
    full, test = np.full(200, 1.0), np.full(200, 1.0)
    found = remeasure(of(full), of(full), others(test), others(test))
    assert (found.margin, found.still_forgotten) == (LEAST, "yes")
