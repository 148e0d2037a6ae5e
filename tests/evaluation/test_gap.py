"""Avg. Gap and the noise floor, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.evaluation.gap import (
    FIELD,
    against_seeds,
    avg_gap,
    noise_floor,
    parse_weights,
    without_retain,
)
from falw_cli.evaluation.metrics import Metrics


def metrics(fa: float | None, ra: float, ta: float, mia: float) -> Metrics:
    return Metrics(
        forget_accuracy=fa, retain_accuracy=ra, test_accuracy=ta, mia_efficacy=mia,
        mia_attack_samples=0, per_class={}, groups=None,
    )  # fmt: skip


A, B, C = metrics(80, 99, 75, 40), metrics(82, 98, 75, 43), metrics(80, 99, 75, 44)


def test_mean_of_four_differences() -> None:
    assert avg_gap(A, B) == pytest.approx((2 + 1 + 0 + 3) / 4)
    assert avg_gap(A, B) == avg_gap(B, A)
    assert avg_gap(A, A) == 0


def test_a_missing_metric_gives_no_gap() -> None:
    assert avg_gap(A, metrics(None, 99, 75, 40)) is None


def test_other_metrics_and_weights() -> None:
    assert parse_weights([]) == FIELD
    weights = parse_weights(["Forget_Accuracy:3", " mia_efficacy"])
    assert avg_gap(A, B, weights) == pytest.approx((3 * 2 + 3) / 4)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (["forget_acuracy"], "unknown metric 'forget_acuracy'"), (["mia_auc:0"], "invalid weight"),
        (["mia_auc:x"], "invalid weight"), (["mia_auc:inf"], "invalid weight"),
        (["mia_auc", "mia_auc:2"], "given twice"),
    ],
)  # fmt: skip
def test_invalid_weights_are_refused(asked: list[str], problem: str) -> None:
    with pytest.raises(RequestError, match=problem) as caught:
        parse_weights(asked)
    assert caught.value.hint


def test_noise_floor_is_the_mean_over_pairs() -> None:
    pairs = [avg_gap(A, B), avg_gap(A, C), avg_gap(B, C)]
    assert noise_floor([A, B, C]) == pytest.approx(sum(p for p in pairs if p is not None) / 3)
    assert noise_floor([A]) is None


@pytest.mark.parametrize(
    ("accuracy", "deviation", "verdict"),
    [(81, 0.1, "closer"), (83, 0.1, "equivalent"), (83, 4, "within"), (90, 0.1, "outside")],
)
def test_as_close_as_retrained_models_needs_an_interval(
    accuracy: float, deviation: float, verdict: str
) -> None:
    """The references are 2 points apart in forget accuracy, and the model is between or beyond."""
    draws = np.random.default_rng(0).normal(0, deviation, (200, 1))
    quiet = np.zeros((200, 1))
    references = [(metrics(one, 99, 75, 40), quiet) for one in (80.0, 82.0)]
    weights = {"forget_accuracy": 1.0}
    found = against_seeds((metrics(accuracy, 99, 75, 40), draws), references, weights)
    assert found is not None
    assert found.verdict == verdict


def test_without_retain_samples_other_metrics_count() -> None:
    assert without_retain(Config(metrics=("RA",))).metrics == ("RA",)
    alone = without_retain(Config(no_retain=True))
    assert alone.metrics == ("forget_accuracy", "test_accuracy")
    assert without_retain(Config(no_retain=True, metrics=("AUC:2",))).metrics == ("AUC:2",)
    with pytest.raises(RequestError, match="mia_efficacy needs retain samples"):
        without_retain(Config(no_retain=True, metrics=("FA", "MIA")))
