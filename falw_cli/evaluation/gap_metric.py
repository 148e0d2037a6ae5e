"""The interface of an Avg. Gap metric; each metric is a module of `gap_metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from falw_cli.config.extensions import METRICS
from falw_cli.evaluation import intervals
from falw_cli.evaluation.intervals import Vector
from falw_cli.evaluation.metrics import Interval, Metrics

if TYPE_CHECKING:  # reading labels must not import torch
    from falw_cli.evaluation.predictions import Predictions, Resamples

Reading = tuple[float | None, Interval | None]
"""Value and interval; None if missing."""
NOTHING: Reading = (None, None)


@dataclass(frozen=True)
class Metric:
    """A metric from 0 to 100 %."""

    module: str
    """`__name__` of the module that defines the metric: the file name is the metric's name."""
    short: str
    """Column header, e.g. "FA"."""
    label: str
    """Row label, e.g. "forget accuracy"."""
    draw: Callable[[Predictions, Resamples], Vector]
    """Return the value in each resample, [B]; NaN if there are no samples."""
    value: Callable[[Predictions], float | None] | None = None
    """Return the value; default: `draw` with each sample once."""
    ends: Callable[[Predictions], intervals.Interval] | None = None
    """Return the 95 % interval; default: computed from `draw`."""
    read: Callable[[Metrics], Reading] | None = None
    """Return value and interval from the report; default: from the field of the metric's name."""
    unit: str = "%"
    explanation: str = ""
    """One or two sentences below the report's tables."""

    @property
    def name(self) -> str:
        """The name in `--metrics` and `--gate`."""
        return self.module.rpartition(".")[2]

    @property
    def extra(self) -> bool:
        """Whether the report has the metric only under `extra_metrics`."""
        return self.read is None and self.name not in Metrics.model_fields

    def measure(self, predictions: Predictions) -> float | None:
        """Return the value for a model; None if there are no samples."""
        if self.value:
            return self.value(predictions)
        with np.errstate(invalid="ignore"):
            found = float(self.draw(predictions, predictions.once)[0])
        return None if np.isnan(found) else found

    def interval(
        self, predictions: Predictions, value: float, resamples: Resamples | None = None
    ) -> Interval:
        """Return the 95 % interval of the value; `resamples` is not needed if `ends` is set."""
        if self.ends:
            lower, upper = self.ends(predictions)
        else:
            assert resamples is not None
            lower, upper = intervals.around(value, self.draw(predictions, resamples))
        return Interval(lower=max(0.0, lower), upper=min(100.0, upper))

    def find(self, metrics: Metrics) -> Reading:
        """Return value and interval from a model's metrics."""
        if self.read:
            return self.read(metrics)
        if self.extra:
            figure = metrics.extra_metrics.get(self.name)
            return (figure.value, figure) if figure else NOTHING
        return getattr(metrics, self.name), metrics.intervals.get(self.name)


@cache
def load_metric(name: str) -> Metric:
    """Return the metric `name`, a key of METRICS."""
    metric: Metric = METRICS.load(name).metric
    return metric


def extra_metrics() -> list[str]:
    """Return the names of the metrics that the report has only under `extra_metrics`."""
    return [name for name in METRICS if load_metric(name).extra]


def described(name: str) -> tuple[str, str]:
    """Return label and unit; for a name not in METRICS, the name with spaces and no unit."""
    if name not in METRICS:
        return name.replace("_", " "), ""
    return load_metric(name).label, load_metric(name).unit


def explained(name: str) -> str:
    """Return the explanation of a metric; for a name not in METRICS, an empty string."""
    return load_metric(name).explanation if name in METRICS else ""


def accuracy(module: str, short: str, label: str, part: str, explanation: str) -> Metric:
    """Return the accuracy metric of a part: forget, retain or test."""

    def draw(predictions: Predictions, resamples: Resamples) -> Vector:
        return 100 * intervals.means(getattr(resamples, part), getattr(predictions, part).correct)

    def ends(predictions: Predictions) -> intervals.Interval:
        correct = getattr(predictions, part).correct
        lower, upper = intervals.wilson(float(correct.mean()), len(correct))
        return 100 * lower, 100 * upper

    return Metric(module, short, label, draw, ends=ends, explanation=explanation)


def group_accuracy(module: str, short: str, label: str, group: str) -> Metric:
    """Return the forget accuracy metric of a group: head, mid or tail."""

    def read(metrics: Metrics) -> Reading:
        found = getattr(metrics.groups, group) if metrics.groups else None
        return (found.forget_accuracy, found.intervals.get("forget_accuracy")) if found else NOTHING

    def draw(predictions: Predictions, resamples: Resamples) -> Vector:
        rows = np.flatnonzero(np.isin(predictions.forget.labels, predictions.thirds[group]))
        return 100 * intervals.means(resamples.forget[:, rows], predictions.forget.correct[rows])

    return Metric(module, short, label, draw, read=read)
