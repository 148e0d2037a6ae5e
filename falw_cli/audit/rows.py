"""The figures of a report as rows of a table, for the console, the page and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from falw_cli.evaluation.forgotten import BOUNDS
from falw_cli.evaluation.gap import FIELD
from falw_cli.evaluation.gap_metric import described, explained, load_metric
from falw_cli.evaluation.metrics import AllMetrics, Figure, Interval, Metrics, Scores
from falw_cli.runtime.printable import counted, decimal

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
    bounds: tuple[float, ...] = ()
    """See `decimal`."""

    @property
    def number(self) -> str:
        """The value as text."""
        return decimal(self.value, self.digits, bounds=self.bounds)

    @property
    def interval(self) -> str:
        """The interval as text, or an empty string."""
        if self.ends is None:
            return ""
        ends = (self.ends.lower, self.ends.upper)
        return " to ".join(decimal(end, self.digits, bounds=self.bounds) for end in ends)

    def __str__(self) -> str:
        return f"{self.number} ({self.interval})" if self.interval else self.number


@dataclass(frozen=True)
class Row:
    """One figure of several models; a cell is None if a model lacks the figure."""

    label: str
    unit: str
    cells: Mapping[str, Cell | None]
    explanation: str = ""
    """What the figure is, for the page; empty if the label says it or another row explains it."""

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def difference(self, one: str, other: str) -> str:
        """Return the value of one model minus that of another, with its sign."""
        a, b = self.cells.get(one), self.cells.get(other)
        return decimal(a.value - b.value, a.digits, "+") if a and b else "–"


def models(found: AllMetrics) -> dict[str, Metrics]:
    """Return the metrics of a report's models by display name; none without the audited model."""
    if found.after is None:
        return {}
    named = {
        "before": found.before,
        "after" if found.before else "model": found.after,
        "Retrain": found.reference,
    }
    return {name: metrics for name, metrics in named.items() if metrics is not None}


def main_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the rows of the main table."""
    rows = [
        share_row(shown),
        *metric_rows(shown),
        gap_row(shown),
        *unseen_rows(shown),
        metric_row("calibration_error", shown),
    ]
    return [row for row in rows if any(row.cells.values())]


def share_row(shown: Mapping[str, Metrics]) -> Row:
    """Return the forgotten share."""
    cells = {name: share(metrics.forgotten_share) for name, metrics in shown.items()}
    return Row(
        "forgotten share", "%", cells,
        "How far the true-class probability of the forget samples moved from the original’s to the "
        "one expected of a model that never saw them. Above 100 %, they are over-forgotten. The "
        "interval covers the samples of the list, not the chance of training: two retrained models "
        "differ too, so Retrain itself need not be at 100 %.",
    )  # fmt: skip


def metric_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the metrics of the default gap, and those that `--metrics` added to the report."""
    extra = dict.fromkeys(name for metrics in shown.values() for name in metrics.extra_metrics)
    kept = "retained_test_accuracy"
    removed = any(getattr(m, kept) != m.test_accuracy for m in shown.values())
    return [metric_row(name, shown) for name in (*FIELD, *([kept] if removed else []))] + [
        Row(
            *described(name), {n: figure(m.extra_metrics.get(name)) for n, m in shown.items()},
            explained(name),
        )
        for name in extra
    ]  # fmt: skip


def metric_row(name: str, shown: Mapping[str, Metrics]) -> Row:
    """Return the row of a metric of METRICS."""
    metric = load_metric(name)
    cells = {model: cell(*metric.find(metrics)) for model, metrics in shown.items()}
    return Row(metric.label, metric.unit, cells, metric.explanation)


def gap_row(shown: Mapping[str, Metrics]) -> Row:
    """Return the Avg. Gap to the mean of the Retrain models."""
    cells = {name: _own(metrics, "avg_gap") for name, metrics in shown.items()}
    return Row(
        "Avg. Gap to Retrain", "points", cells,
        "Mean absolute difference from Retrain, a model trained without the list, over forget, "
        "retain and test accuracy and MIA efficacy, or over the metrics that the run names.",
    )  # fmt: skip


def unseen_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the comparisons of forget samples with unseen samples of their classes."""
    aucs = {name: figure(m.mia.auc if m.mia else None, 3) for name, m in shown.items()}
    hard = {n: figure(m.mia.difficulty_matched if m.mia else None, 3) for n, m in shown.items()}
    distances = {name: figure(m.distance, 3) for name, m in shown.items()}
    metric = load_metric("mia_auc")
    return [
        Row(metric.label, "0.5 is chance", aucs, metric.explanation),
        Row(
            "same, difficulty-matched", "0.5 is chance", hard,
            "The unseen samples are weighted so that they are as hard as the list is expected to "
            "be. Fairer than the class-matched attack if the list is hard, easy or mislabelled.",
        ),
        Row(
            "distance to unseen", "0 to 1", distances,
            "How far apart the true-class probabilities of forget and unseen samples of a class "
            "are (1-Wasserstein), mean over the forget samples. A small list is never at 0.",
        ),
    ]  # fmt: skip


def group_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return forget accuracy of head, mid and tail, its deviations, and the forgotten share."""
    rows, shares = [], []
    for name in GROUPS:
        groups = {n: getattr(m.groups, name) for n, m in shown.items() if m.groups}
        rows.append(metric_row(f"{name}_accuracy", shown))
        for key, truth in (("deviation", "Retrain"), ("unseen_deviation", "unseen data")):
            cells = {model: _own(group, key) for model, group in groups.items()}
            rows.append(Row(f"{name}: deviation from {truth}", "points", cells))
        cells = {model: share(group.forgotten_share) for model, group in groups.items()}
        rows.append(Row(f"{name}: forgotten share", "%", cells))
        shares += [rows[-1]] if any(group.forget_count for group in groups.values()) else []
    shares = shares if any(any(row.cells.values()) for row in shares) else []
    return [row for row in rows if any(row.cells.values()) or row in shares]


def attack_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the membership attack by each score, and on retain samples."""
    attacks = {name: metrics.mia for name, metrics in shown.items() if metrics.mia}
    rows = []
    for score in Scores.model_fields:
        by_score = {name: getattr(mia.scores, score) for name, mia in attacks.items()}
        rows += attack(score.replace("_", " "), by_score)
    for group in GROUPS:
        found = {name: figure(getattr(mia.groups, group), 3) for name, mia in attacks.items()}
        rows += [Row(f"{group}: AUC by loss", "", found)] if any(found.values()) else []
    retained = {name: mia.retained for name, mia in attacks.items() if mia.retained}
    return rows + attack("retained vs. unseen", retained)[:1]


def attack(label: str, attacks: Mapping[str, Any]) -> list[Row]:
    """Return the measured figures of an attack on each model."""
    made = [
        Row(f"{label}: {what}", unit, {n: figure(getattr(a, key), d) for n, a in attacks.items()})
        for key, (what, unit, d) in ATTACK.items()
    ]
    return [row for row in made if any(row.cells.values())]


def _own(found: Any, name: str, digits: int = 2) -> Cell | None:
    return cell(getattr(found, name), found.intervals.get(name), digits)


def cell(value: float | None, ends: Interval | None, digits: int = 2) -> Cell | None:
    return None if value is None else Cell(value, ends, digits)


def figure(found: Figure | None, digits: int = 2, bounds: tuple[float, ...] = ()) -> Cell | None:
    """Return a figure as a cell; `bounds` as in `decimal`."""
    return Cell(found.value, found, digits, bounds) if found else None


def share(found: Figure | None) -> Cell | None:
    """Return a forgotten share as a cell."""
    return figure(found, 0, BOUNDS)


def class_rows(shown: Mapping[str, Metrics], name: str) -> list[Row]:
    """Return an accuracy of each class that has forget samples, head first."""
    return [
        Row(label, "%", {model: _own(m.per_class[one], name, 1) for model, m in shown.items()})
        for one, label in _listed_classes(shown)
    ]


def class_share_rows(shown: Mapping[str, Metrics]) -> list[Row]:
    """Return the forgotten share of each class, head first; no rows if no class has one."""
    shares = {
        label: {model: share(m.per_class[one].forgotten_share) for model, m in shown.items()}
        for one, label in _listed_classes(shown)
    }
    known = any(any(cells.values()) for cells in shares.values())
    return [Row(label, "%", cells) for label, cells in shares.items()] if known else []


def _listed_classes(shown: Mapping[str, Metrics]) -> list[tuple[str, str]]:
    """Return name and label of each class that has forget samples, by count."""
    last = list(shown.values())[-1].per_class if shown else {}
    order = sorted(last, key=lambda one: -last[one].forget_count)
    return [
        (
            name,
            f"class {name} ({counted(one.forget_count, 'forget sample')}"
            f"{', no retain samples' * (one.retain_count == 0)})",
        )
        for name in order if (one := last[name]).forget_count
    ]  # fmt: skip
