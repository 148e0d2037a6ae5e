"""Tables of reports for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from falw_cli.audit import rows
from falw_cli.audit.report import AllMetrics, Report
from falw_cli.evaluation.metrics import GroupMetrics, Interval, Metrics, PerSample
from falw_cli.runtime.printable import printable

if TYPE_CHECKING:
    from falw_cli.cli.doctor import Finding

ROWS = {
    "forget accuracy": "forget_accuracy",
    "retain accuracy": "retain_accuracy",
    "test accuracy": "test_accuracy",
    "MIA efficacy": "mia_efficacy",
}


def metrics(found: AllMetrics, title: str = "") -> Table:
    """Return metrics before and after, of the retrained model, and the gap, in percent."""
    columns = {"before": found.before, "after" if found.before else "model": found.after}
    return side_by_side({k: v for k, v in columns.items() if v}, found, title)


def side_by_side(models: Mapping[str, Metrics], found: AllMetrics, title: str = "") -> Table:
    """Return metrics of models and the retrained one; of up to two models, with intervals."""
    table = Table(title=title or None, title_justify="left")
    table.add_column("percent")
    for name in models:
        table.add_column(name, justify="right")
    last = list(models.values())[-1]
    sure = len(models) <= 2  # more columns do not fit in 80 characters
    if sure:
        table.add_column("95 %", justify="right", style="dim")
    if found.reference:
        table.add_column("Retrain", justify="right")
        table.add_column("gap", justify="right")
    for label, key in ROWS.items():
        values = [getattr(model, key) for model in models.values()]
        row = [*map(_number, values), *([_interval(last.intervals.get(key))] if sure else [])]
        if found.reference:
            truth = getattr(found.reference, key)
            row += [_number(truth), _difference(values[-1], truth)]
        table.add_row(label, *row)
    if found.reference:
        table.add_section()
        gaps = [f"[bold]{_number(model.avg_gap)}[/]" for model in models.values()]
        floor = found.noise_floor
        side = f"floor {floor:.2f}" if floor is not None else ""
        ends = [_interval(last.intervals.get("avg_gap"))] if sure else []
        table.add_row("Avg. Gap to Retrain", *gaps, *ends, side, "")
    if last.mia and last.distance:
        table.add_section()
        _unseen_rows(table, models, found)
    if last.groups:
        table.add_section()
        for name in ("head", "mid", "tail"):
            _group_row(table, name, models, found)
    return table


def _unseen_rows(table: Table, models: Mapping[str, Metrics], found: AllMetrics) -> None:
    """Add rows that compare forget with unseen samples, in [0, 1]."""
    every = [*models.values(), *([found.reference] if found.reference else [])]
    aucs = [rows.figure(m.mia.auc, 3) if m.mia else None for m in every]
    far = [rows.figure(m.distance, 3) if m.distance else None for m in every]
    for label, cells in (("AUC forget to unseen", aucs), ("distance to unseen", far)):
        numbers = [cell.number if cell else "–" for cell in cells]
        own = cells[len(models) - 1]
        if len(models) <= 2:
            numbers.insert(len(models), own.interval.replace(" to ", "–") if own else "")
        table.add_row(label, *numbers)


def _group_row(table: Table, name: str, models: Mapping[str, Metrics], found: AllMetrics) -> None:
    """Add the forget accuracy of a third of the classes."""
    groups = [_group(model, name) for model in models.values()]
    row = [_number(group.forget_accuracy if group else None) for group in groups]
    if len(models) <= 2:
        row.append(_interval(groups[-1].intervals.get("forget_accuracy") if groups[-1] else None))
    if found.reference:
        truth = _group(found.reference, name)
        row += [_number(truth.forget_accuracy if truth else None)]
        row += [_signed(groups[-1].deviation if groups[-1] else None)]
    size = groups[-1].forget_count if groups[-1] else 0
    table.add_row(f"{name} ({size} forgotten)", *row)


def _group(model: Metrics, name: str) -> GroupMetrics | None:
    group: GroupMetrics | None = getattr(model.groups, name) if model.groups else None
    return group


def per_sample(found: PerSample) -> Table:
    """Return the results of per-sample attacks."""
    table = Table(title=f"attacks by {found.models} shadow models", title_justify="left")
    for name in ("attack", "value", "95 %"):
        table.add_column(name, justify="left" if name == "attack" else "right")
    for row in rows.per_sample_rows(found):
        cell = row.cells["value"]
        if cell is not None:
            table.add_row(f"{row.label}, {row.unit}" if row.unit else row.label, cell.number,
                          cell.interval)  # fmt: skip
    return table


def plan(report: Report) -> Table:
    """Return the plan of a run."""
    table = Table(title="dry run: nothing was written", title_justify="left", show_header=False)
    inputs, run = report.inputs, report.run
    settings = report.config["unlearn"]
    table.add_row("forget", f"{report.forget.count} samples")
    table.add_row("retain", f"{inputs.data.count - report.forget.count} samples")
    for name, source in (("held-out (guides)", inputs.heldout), ("test (judges)", inputs.test)):
        if source:
            table.add_row(name, f"{source.used} of {source.count} in {_safe(source.spec)}")
    table.add_row("method", f"{_safe(str(settings['method']))} x {settings['weighting']}")
    table.add_row("lr, batch size", f"{settings['lr']}, {settings['batch_size']}")
    if run:
        table.add_row("steps", f"at most {run.steps} in {run.epochs} epochs")
        if run.seconds:
            told = f"about {_duration(run.seconds)}, plus the audit before and after"
            table.add_row("time of the steps", told)
        table.add_row("memory", f"{run.peak_memory_bytes / (1 << 30):.1f} GiB or slightly more")
    table.add_row("device", _safe(report.environment.device))
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def _interval(found: Interval | None) -> str:
    return f"{found.lower:.2f}–{found.upper:.2f}" if found else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _difference(one: float | None, other: float | None) -> str:
    return "–" if one is None or other is None else f"{abs(one - other):.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def facts(found: Mapping[str, object]) -> Table:
    """Return names and values, one per line, without control characters."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")  # a digest must not be truncated
    for name, value in found.items():
        table.add_row(f"[bold]{escape(name)}[/]", _safe(_plain(value)))
    return table


def _safe(text: str) -> str:
    """Return text from files, made safe to print with rich."""
    return escape(printable(text))


def _plain(value: object) -> str:
    """Return a value as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "–" if value is None or value == "" else str(value)


def report_facts(report: Report) -> dict[str, object]:
    """Return the main facts of a report, without its metrics."""
    run, settings = report.run, report.config["unlearn"]
    found: dict[str, object] = {
        "written by": f"{report.tool.name} {report.tool.version}",
        "created": report.created.isoformat(timespec="seconds"),
        "model": report.inputs.model.path,
        "forgotten": f"{report.forget.count} samples",
    }
    if run:
        found |= {
            "method": f"{settings['method']} x {settings['weighting']}",
            "run": f"{run.steps} steps in {run.seconds:.1f} s; {run.stopped_because}",
        }
    if report.output:
        found |= {"output": report.output.path, "sha256": report.output.sha256}
    for gate in report.gates:
        found[f"gate {gate.expression}"] = "passed" if gate.passed else "FAILED"
    for number, warning in enumerate(report.warnings, 1):
        found[f"warning {number}"] = warning
    return found


def findings(found: Sequence[Finding]) -> Table:
    """Return the results of checks, with problems highlighted."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    colours = {"ok": "[green]ok[/]", "note": "[dim]note[/]", "problem": "[red]problem[/]"}
    for one in found:
        hint = f"\n[cyan]hint:[/] {_safe(one.hint)}" if one.hint else ""
        table.add_row(colours[one.state], f"[bold]{_safe(one.name)}[/]", _safe(one.found) + hint)
    return table


def bars(per_class: Mapping[str, int]) -> Table:
    """Return the counts per class as bars, which show the tail."""
    largest = max(per_class.values(), default=0) or 1
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, count in per_class.items():
        length = round(40 * count / largest)
        bar = "█" * length or ("▏" if count else "")
        table.add_row(_safe(name), str(count), f"[cyan]{bar}[/]")
    return table
