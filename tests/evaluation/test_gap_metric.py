"""Metrics of the gap: named after their files, and read from the report where present."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.config.extensions import METRICS
from falw_cli.evaluation import intervals
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import FIELD
from falw_cli.evaluation.gap_metric import Metric, described, extra_metrics, load_metric
from falw_cli.evaluation.measurement import metrics_of
from falw_cli.evaluation.metrics import Metrics
from falw_cli.evaluation.predictions import Resamples
from tests.audit.reports import predictions

SHARE = Metric("somewhere.share", "S", "a share", lambda e, again: again.test.mean(axis=1) * 40)


def test_names_are_those_of_the_files() -> None:
    assert "forget_accuracy" in METRICS
    assert "forget-accuracy" not in METRICS
    assert all(load_metric(name).name == name for name in METRICS)
    assert len({load_metric(name).label for name in METRICS}) == len(METRICS)
    assert [load_metric(name).short for name in FIELD] == ["FA", "RA", "TA", "MIA"]
    assert not extra_metrics()


def test_labels() -> None:
    assert described("retain_accuracy") == ("retain accuracy", "%")
    assert described("not_here") == ("not here", "")


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return full_audit(None, predictions(1, 1.5), [], FIELD).metrics.after


@pytest.mark.parametrize("name", list(METRICS))
def test_value_interval_and_draws_agree(name: str, metrics: Metrics) -> None:
    metric, seen = load_metric(name), predictions(1, 1.5)
    value, ends = metric.find(metrics)
    assert value is not None
    assert ends is not None
    assert ends.lower < value <= ends.upper + 1e-9
    draws = metric.draw(seen, Resamples.of(seen))
    assert draws.shape == (intervals.DRAWS,)
    assert abs(draws.mean() - value) < 5
    if metric.read is None:
        assert metric.measure(seen) == value


def test_value_and_interval_follow_from_the_draws() -> None:
    seen = predictions(1, 1.5)
    assert SHARE.extra
    assert SHARE.measure(seen) == 40
    again = Resamples(*(np.repeat([[0, 1, 2]], len(seen.test), axis=0).T.astype(np.uint8),) * 3)
    found = SHARE.interval(seen, 40.0, again)
    assert found.lower == pytest.approx(2, abs=0.5)
    assert found.upper == pytest.approx(78, abs=0.5)
    assert SHARE.find(metrics_of(seen)) == (None, None)


def test_no_samples_give_no_value() -> None:
    seen = predictions(1, 1.5)
    rows = np.arange(0)
    empty = type(seen)(seen.classes, seen.forget.of_rows(rows), seen.retain, seen.test, 0)
    assert load_metric("forget_accuracy").measure(empty) is None
    assert load_metric("mia_efficacy").measure(empty) is None
    assert load_metric("retain_accuracy").measure(empty) == 100
