"""The difficulty-matched attack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from falw_cli.evaluation.forgotten import ExpectedProbabilities
from falw_cli.evaluation.membership import difficulty_matched, matched_attack
from falw_cli.evaluation.predictions import Predictions, Resamples
from tests.audit.reports import predictions


def hard_list(seed: int) -> tuple[ExpectedProbabilities, Predictions]:
    """A model that never saw the list, with only its 30 hardest forget samples."""
    model = predictions(seed, 1.5)
    rows = np.argsort(model.forget.prob)[:30]
    model = replace(model, forget=model.forget.of_rows(rows))
    prob = model.forget.prob
    return ExpectedProbabilities(
        model.forget.labels, np.ones(30), prob, np.zeros(0), np.zeros(0)
    ), model


def test_a_hard_list_is_compared_with_hard_unseen_samples() -> None:
    expected, model = hard_list(1)
    resamples = Resamples.of(model)
    by_class = matched_attack((model.forget, model.test), (resamples.forget, resamples.test))
    matched = difficulty_matched(expected, model.test.prob, model)
    assert by_class is not None
    assert matched is not None
    assert by_class.auc_interval[1] < 0.4  # as if it were over-forgotten
    assert matched.lower < 0.5 < matched.upper


def test_classes_that_keep_nothing_have_no_counterpart() -> None:
    expected, model = hard_list(1)
    nothing = replace(expected, expected=np.zeros(30))
    assert difficulty_matched(nothing, model.test.prob, model) is None
