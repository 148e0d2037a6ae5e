"""The figures of a report as rows that a person reads: what it is, and each model's value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from falw_cli.audit.report import AllMetrics
from falw_cli.evaluation.metrics import Comeback, Figure, GroupMetrics, Metrics, PerSample

GROUPS = ("head", "mid", "tail")
ACCURACIES = {
    "forget_accuracy": "forget accuracy",
    "retain_accuracy": "retain accuracy",
    "test_accuracy": "test accuracy",
    "mia_efficacy": "MIA efficacy",
}
SCORES = {
    "confidence": "confidence",
    "entropy": "entropy",
    "modified_entropy": "modified entropy",
    "loss": "loss",
    "margin": "margin",
}


@dataclass(frozen=True)
class Cell:
    """A figure of one model, with its 95 % interval where it has one."""

    value: float
    lower: float | None = None
    upper: float | None = None
    digits: int = 2

    @property
    def number(self) -> str:
        """The figure."""
        return f"{self.value:.{self.digits}f}"

    @property
    def interval(self) -> str:
        """Its interval, or nothing."""
        if self.lower is None or self.upper is None:
            return ""
        return f"{self.lower:.{self.digits}f} to {self.upper:.{self.digits}f}"

    def __str__(self) -> str:
        return f"{self.number} ({self.interval})" if self.interval else self.number


@dataclass(frozen=True)
class Row:
    """One figure of several models; a cell is None where a model lacks it."""

    label: str
    unit: str
    cells: dict[str, Cell | None] = field(default_factory=dict)


def models(found: AllMetrics) -> dict[str, Metrics]:
    """The models of a report by what they are called there."""
    named = {
        "before": found.before,
        "after" if found.before else "model": found.after,
        "Retrain": found.reference,
    }
    return {name: metrics for name, metrics in named.items() if metrics is not None}


def main_rows(shown: dict[str, Metrics]) -> list[Row]:
    """The figures that come first."""
    rows = [_row(label, "%", shown, name) for name, label in ACCURACIES.items()]
    rows.append(_row("Avg. Gap to Retrain", "points", shown, "avg_gap"))
    rows.append(
        Row(
            "forget told from unseen: AUC", "0.5 is chance",
            {n: figure(m.mia.auc, 3) if m.mia else None for n, m in shown.items()},
        )
    )  # fmt: skip
    rows.append(
        Row(
            "distance of forget to unseen", "0 to 1",
            {n: figure(m.distance, 3) if m.distance else None for n, m in shown.items()},
        )
    )  # fmt: skip
    rows.append(_row("calibration error on test", "%", shown, "calibration_error"))
    return [row for row in rows if any(row.cells.values())]


def group_rows(shown: dict[str, Metrics]) -> list[Row]:
    """Head, mid and tail: forget accuracy, and its distance to Retrain's and to unseen data's."""
    labels = {
        "forget_accuracy": ("forget accuracy", "%"),
        "deviation": ("deviation from Retrain", "points"),
        "unseen_deviation": ("deviation from unseen data", "points"),
    }
    rows = []
    for name in GROUPS:
        for key, (label, unit) in labels.items():
            cells = {
                model: _cell(group, key)
                for model, group in _groups(shown, name)
                if group is not None
            }
            if any(cells.values()):
                rows.append(Row(f"{name}: {label}", unit, cells))
    return rows


def attack_rows(shown: dict[str, Metrics]) -> list[Row]:
    """The membership attack by each score, and on those who stay."""
    rows = []
    for name, label in SCORES.items():
        for key, what, unit in (
            ("auc", "AUC", ""),
            ("tpr_at_fpr_1", "TPR at 1 % FPR", "%"),
            ("tpr_at_fpr_01", "TPR at 0.1 % FPR", "%"),
        ):
            cells = {
                model: figure(getattr(getattr(m.mia.scores, name), key), 3 if key == "auc" else 2)
                for model, m in shown.items()
                if m.mia
            }
            rows.append(Row(f"{label}: {what}", unit, dict(cells)))
    stay = {n: figure(m.mia.retained.auc, 3) for n, m in shown.items() if m.mia and m.mia.retained}
    rows.append(Row("retained samples told from unseen: AUC", "", dict(stay)))
    return [row for row in rows if row.cells]


def _groups(shown: dict[str, Metrics], name: str) -> Iterator[tuple[str, GroupMetrics | None]]:
    for model, metrics in shown.items():
        yield model, getattr(metrics.groups, name) if metrics.groups else None


def _row(label: str, unit: str, shown: dict[str, Metrics], name: str) -> Row:
    return Row(label, unit, {model: _cell(metrics, name) for model, metrics in shown.items()})


def _cell(metrics: Metrics | GroupMetrics, name: str) -> Cell | None:
    value, ends = getattr(metrics, name), metrics.intervals.get(name)
    if value is None:
        return None
    return Cell(value, ends.lower, ends.upper) if ends else Cell(value)


def figure(found: Figure, digits: int = 2) -> Cell:
    """A figure as a cell."""
    return Cell(found.value, found.lower, found.upper, digits)


def class_rows(shown: dict[str, Metrics], name: str) -> list[Row]:
    """An accuracy of each class that has forget samples, head first."""
    last = list(shown.values())[-1]
    order = sorted(last.per_class, key=lambda one: -last.per_class[one].forget_count)
    found = []
    for label in order:
        if not (count := last.per_class[label].forget_count):
            continue
        cells: dict[str, Cell | None] = {}
        for model, metrics in shown.items():
            one = metrics.per_class[label]
            value, ends = getattr(one, name), one.intervals.get(name)
            cells[model] = Cell(value, ends.lower, ends.upper, 1) if ends is not None else None
        found.append(Row(f"{label}, {count} forgotten", "%", cells))
    return found


def comeback_rows(found: Comeback) -> list[Row]:
    """What rounding the weights changes."""
    return [
        Row(f"{kind}: {label}", "points", {"change": figure(change) if change else None})
        for kind, one in (("float16", found.fp16), ("int8", found.int8))
        for label, change in (
            ("forget accuracy", one.forget_change), ("test accuracy", one.test_change),
        )
    ]  # fmt: skip


def per_sample_rows(found: PerSample) -> list[Row]:
    """Attacks made for each sample, and how far the ensembles' margins lie apart."""
    listed = []
    for label, one in (("U-LiRA", found.ulira), ("RMIA", found.rmia)):
        listed += [
            Row(f"{label}: AUC over shadow models", "", {"value": figure(one.auc, 3)}),
            Row(f"{label}: TPR at 1 % FPR", "%", {"value": figure(one.tpr_at_fpr_1)}),
            Row(f"{label}: TPR at 0.1 % FPR", "%", {"value": figure(one.tpr_at_fpr_01)}),
            Row(f"{label}: told in this model at 1 % FPR", "%", {"value": figure(one.told)}),
        ]
    label = f"KLoM, where chance makes {found.klom_chance:.2f}"
    return [*listed, Row(label, "nats", {"value": figure(found.klom)})]
