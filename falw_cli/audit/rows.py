"""The figures of a report as rows of a table, for the console, the page and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from falw_cli.audit.report import Comeback
from falw_cli.evaluation.gap import FIELD
from falw_cli.evaluation.gap_metric import described, load_metric
from falw_cli.evaluation.metrics import AllMetrics, Figure, Interval, Metrics, Scores
from falw_cli.evaluation.per_sample import PerSample

GROUPS = ("head", "mid", "tail")
ATTACK = {
    "auc": ("AUC", "", 3),
    "tpr_at_fpr_1": ("TPR at 1 % FPR", "%", 2),
    "tpr_at_fpr_01": ("TPR at 0.1 % FPR", "%", 2),
}
"""Label, unit and digits of an attack's figures."""


@dataclass(frozen=True)
class Cell:
    """A figure of one model, with its 95 % interval if it has one."""

    value: float
    ends: Interval | None = None
    digits: int = 2

    @property
    def number(self) -> str:
        """The value as text."""
        return f"{self.value:.{self.digits}f}"

    @property
    def interval(self) -> str:
        """The interval as text, or an empty string."""
        if self.ends is None:
            return ""
        return f"{self.ends.lower:.{self.digits}f} to {self.ends.upper:.{self.digits}f}"

    def __str__(self) -> str:
        return f"{self.number} ({self.interval})" if self.interval else self.number


@dataclass(frozen=True)
class Row:
    """One figure of several models; a cell is None if a model lacks the figure."""

    label: str
    unit: str
    cells: Mapping[str, Cell | None]

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def difference(self, one: str, other: str) -> str:
        """Return the value of one model minus that of another, with its sign."""
        a, b = self.cells.get(one), self.cells.get(other)
        return f"{a.value - b.value:+.{a.digits}f}" if a and b else "–"


def models(found: AllMetrics) -> dict[str, Metrics]:
    """Return the metrics of a report's models by display name."""
    named = {
        "before": found.before,
        "after" if found.before else "model": found.after,
        "Retrain": found.reference,
    }
    return {name: metrics for name, metrics in named.items() if metrics is not None}


def main_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the rows of the main table."""
    rows = [
        *metric_rows(shown),
        gap_row(shown),
        *unseen_rows(shown),
        metric_row("calibration_error", shown),
    ]
    return [row for row in rows if any(row.cells.values())]


def metric_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the metrics of the default gap, and those that `--metrics` added to the report."""
    extra = dict.fromkeys(name for metrics in shown.values() for name in metrics.extra_metrics)
    return [metric_row(name, shown) for name in FIELD] + [
        Row(*described(name), {n: figure(m.extra_metrics.get(name)) for n, m in shown.items()})
        for name in extra
    ]


def metric_row(name: str, shown: Mapping[str, Metrics]) -> Row:
    """Return the row of a metric of METRICS."""
    metric = load_metric(name)
    cells = {model: _cell(*metric.find(metrics)) for model, metrics in shown.items()}
    return Row(metric.label, metric.unit, cells)


def gap_row(shown: Mapping[str, Metrics]) -> Row:
    """Return the Avg. Gap to the mean of the Retrain models."""
    cells = {name: _own(metrics, "avg_gap") for name, metrics in shown.items()}
    return Row("Avg. Gap to Retrain", "points", cells)


def unseen_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the comparisons of forget samples with unseen samples of their classes."""
    aucs = {name: figure(m.mia.auc if m.mia else None, 3) for name, m in shown.items()}
    hard = {n: figure(m.mia.difficulty_matched if m.mia else None, 3) for n, m in shown.items()}
    distances = {name: figure(m.distance, 3) for name, m in shown.items()}
    return [
        Row(load_metric("mia_auc").label, "0.5 is chance", aucs),
        Row("same, difficulty-matched", "0.5 is chance", hard),
        Row("distance to unseen", "0 to 1", distances),
    ]


def group_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return forget accuracy of head, mid and tail, and its deviation from Retrain and unseen."""
    rows = []
    for name in GROUPS:
        groups = {n: getattr(m.groups, name) for n, m in shown.items() if m.groups}
        rows.append(metric_row(f"{name}_accuracy", shown))
        for key, truth in (("deviation", "Retrain"), ("unseen_deviation", "unseen data")):
            cells = {model: _own(group, key) for model, group in groups.items()}
            rows.append(Row(f"{name}: deviation from {truth}", "points", cells))
    return [row for row in rows if any(row.cells.values())]


def attack_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the membership attack by each score, and on retain samples."""
    attacks = {name: metrics.mia for name, metrics in shown.items() if metrics.mia}
    rows = []
    for score in Scores.model_fields:
        by_score = {name: getattr(mia.scores, score) for name, mia in attacks.items()}
        rows += _attack(score.replace("_", " "), by_score)
    retained = {name: mia.retained for name, mia in attacks.items() if mia.retained}
    return rows + _attack("retained vs. unseen", retained)[:1]


def _attack(label: str, attacks: Mapping[str, Any]) -> list[Row]:
    """Return the figures of an attack on each model."""
    return [
        Row(
            f"{label}: {what}", unit,
            {name: figure(getattr(one, key), digits) for name, one in attacks.items()},
        )
        for key, (what, unit, digits) in ATTACK.items() if attacks
    ]  # fmt: skip


def _own(found: Any, name: str, digits: int = 2) -> Cell | None:
    return _cell(getattr(found, name), found.intervals.get(name), digits)


def _cell(value: float | None, ends: Interval | None, digits: int = 2) -> Cell | None:
    return None if value is None else Cell(value, ends, digits)


def figure(found: Figure | None, digits: int = 2) -> Cell | None:
    """Return a figure as a cell."""
    return Cell(found.value, found, digits) if found else None


def class_rows(shown: Mapping[str, Metrics], name: str) -> list[Row]:
    """Return an accuracy of each class that has forget samples, head first."""
    last = list(shown.values())[-1].per_class
    order = sorted(last, key=lambda one: -last[one].forget_count)
    return [
        Row(
            f"{label}, {last[label].forget_count} forgotten", "%",
            {model: _own(m.per_class[label], name, 1) for model, m in shown.items()},
        )
        for label in order if last[label].forget_count
    ]  # fmt: skip


def comeback_rows(found: Comeback) -> list[Row]:
    """Return the accuracy changes by rounding the weights."""
    return [
        Row(f"{kind}: {load_metric(name).label}", "points", {"change": figure(change)})
        for kind, one in (("float16", found.fp16), ("int8", found.int8))
        for name, change in (
            ("forget_accuracy", one.forget_change), ("test_accuracy", one.test_change),
        )
    ]  # fmt: skip


def per_sample_rows(found: PerSample) -> list[Row]:
    """Return the per-sample attacks, and the distance between the ensembles' margins."""
    rows = []
    for label, one in (("U-LiRA", found.ulira), ("RMIA", found.rmia)):
        if one is not None:
            rows += _attack(f"{label} on shadow models", {"value": one})
            title = f"{label}: distinguished in this model at 1 % FPR"
            rows.append(Row(title, "%", {"value": figure(one.told)}))
    if found.klom is not None:
        klom = f"KLoM, {found.klom_chance:.2f} by chance"
        rows.append(Row(klom, "nats", {"value": figure(found.klom)}))
    return rows


def evidence_rows(found: PerSample) -> list[Row]:
    """Return the evidence on each sample of a short list, percent: membership and its FPR."""
    rows = []
    for one in found.samples:
        cells: dict[str, Cell | None] = {}
        for stage, known in (("before", one.before), ("after", one.after)):
            if known is not None:
                below = Interval(lower=0, upper=known.upper)
                cells[f"member {stage}"] = Cell(known.membership, None, 1)
                cells[f"FPR {stage}"] = Cell(known.false_positive_rate, below, 0)
        rows.append(Row(f"sample {one.position}", "", cells))
    return rows
