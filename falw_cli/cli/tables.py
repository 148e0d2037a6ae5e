"""Tables of reports for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from falw_cli.audit import rows, section_rows, shadows
from falw_cli.audit.report import Comeback, Report, Robustness
from falw_cli.cli.console import safe
from falw_cli.evaluation.metrics import AllMetrics
from falw_cli.evaluation.per_sample import PerSample
from falw_cli.runtime.printable import counted

if TYPE_CHECKING:
    from falw_cli.cli.doctor import Finding


def metrics(found: AllMetrics) -> Table:
    """Return the metrics before and after, and those of Retrain; each row has its unit."""
    shown = rows.models(found)
    models = [name for name in shown if name != "Retrain"]
    last, truth = models[-1], "Retrain" in shown
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in models:
        table.add_column(name, justify="right")
    table.add_column("95 % interval", justify="right", style="dim")
    if truth:
        table.add_column("Retrain", justify="right")
        table.add_column(f"{last} -\nRetrain", justify="right")

    def add(row: rows.Row, style: str = "", *, difference: bool = True) -> None:
        cells = [row.cells.get(name) for name in shown]
        if not any(cells):
            return
        numbers = [f"{style}{cell.number}" if cell else "–" for cell in cells]
        own = row.cells.get(last)
        between = own.interval if own else ""
        dash = " to " if "-" in between else "–"  # "-5–45" is hard to read
        numbers.insert(len(models), between.replace(" to ", dash))
        gap = row.difference(last, "Retrain") if difference else ""
        table.add_row(row.title, *numbers, *([gap] if truth else []))

    for row in (rows.share_row(shown), *rows.metric_rows(shown)):
        add(row)
    if truth:
        table.add_section()
        add(rows.gap_row(shown), "[bold]", difference=False)
        if found.noise_floor is not None:
            floor = {"Retrain": rows.Cell(found.noise_floor)}
            add(rows.Row("between two Retrains", "points", floor), difference=False)
    if shown[last].mia:
        table.add_section()
        for row in rows.unseen_rows(shown):
            add(row)
    if shown[last].groups is not None:
        table.add_section()
        for name in rows.GROUPS:
            add(rows.metric_row(f"{name}_accuracy", shown))
    return table


def of_report(report: Report) -> list[Table]:
    """Return the metrics of a report, and its optional sections."""
    found = [metrics(report.metrics)] if report.metrics.after else []
    if (attacked := report.per_sample) is not None:
        found.append(evidence(attacked) if attacked.samples else per_sample(attacked))
    if report.comeback:
        found += comeback(report.comeback)
    if report.robustness:
        found.append(robustness(report.robustness))
    return found


def per_sample(found: PerSample) -> Table:
    """Return the results of per-sample attacks."""
    title = f"attacks by {found.models} shadow models"
    return _values(title, section_rows.per_sample_rows(found))


def comeback(found: Comeback) -> list[Table]:
    """Return the accuracy changes by rounding the weights, and the effect of relearning."""
    title = "after minus before rounding the weights"
    tables, again = [_values(title, section_rows.comeback_rows(found))], found.relearned
    if again:
        title = f"relearning {again.samples} of the forget samples"
        tables.append(_values(title, section_rows.relearned_rows(again)))
    return tables


def robustness(found: Robustness) -> Table:
    """Return the shares of samples recognised again with noise."""
    return _values(f"with noise, {found.copies} copies", section_rows.robustness_rows(found))


def _values(title: str, figures: Sequence[rows.Row]) -> Table:
    """Return figures of the audited model alone, with their intervals."""
    table = Table(title=title, title_justify="left")
    for name in ("figure", "value", "95 %"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for row in figures:
        cell = row.cells["value"]
        table.add_row(row.title, cell.number if cell else "–", cell.interval if cell else "")
    return table


def evidence(found: PerSample) -> Table:
    """Return the evidence on each sample of a short list."""
    title = f"evidence per sample, percent ({found.models} models: FPR ≥ {found.smallest_rate:.1f})"
    table, shown = Table(title=title, title_justify="left"), section_rows.evidence_rows(found)
    if found.models < shadows.ENOUGH:
        table.caption, table.caption_justify = shadows.TOO_FEW, "left"
    for name in ("position", *shown[0].cells):
        table.add_column(name, justify="left" if name == "position" else "right")
    for row in shown:
        table.add_row(row.label, *(str(cell) for cell in row.cells.values()))
    return table


def plan(report: Report) -> Table:
    """Return the plan of a run."""
    table = Table(title="dry run: nothing was written", title_justify="left", show_header=False)
    inputs, run = report.inputs, report.run
    settings = report.config["unlearn"]
    table.add_row("forget", counted(report.forget.count, "sample"))
    left_out = report.earlier.left_out if report.earlier else 0
    retained = counted(inputs.data.count - report.forget.count - left_out, "sample")
    table.add_row("retain", "none" if report.config.get("no_retain") else retained)
    if left_out:
        left = f"{counted(left_out, 'sample')}, neither forget nor retain"
        table.add_row("earlier requests", left)
    for name, source in (
        ("held-out, for the run", inputs.heldout),
        ("test, for evaluation", inputs.test),
    ):
        if source:
            table.add_row(name, f"{source.used} of {source.count} in {safe(source.spec)}")
    table.add_row("method", f"{safe(str(settings['method']))} x {settings['weighting']}")
    table.add_row("lr, batch size", f"{settings['lr']}, {settings['batch_size']}")
    if run:
        table.add_row("steps", f"at most {run.steps} in {counted(run.epochs, 'epoch')}")
        if run.seconds:
            time = f"about {_duration(run.seconds)}, and the audit before and after"
            table.add_row("time of the steps", time)
        table.add_row("memory", f"{run.peak_memory_bytes / (1 << 30):.1f} GiB or a little more")
    table.add_row("device", safe(report.environment.device))
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def facts(found: Mapping[str, object]) -> Table:
    """Return names and values, one per line, without control characters."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")  # a digest must not be truncated
    for name, value in found.items():
        table.add_row(f"[bold]{escape(name)}[/]", safe(_plain(value)))
    return table


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
        "forgotten": counted(report.forget.count, "sample"),
    }
    if report._problem:
        found["report"] = report._problem
    if run:
        found |= {
            "method": f"{settings['method']} x {settings['weighting']}",
            "run": f"{counted(run.steps, 'step')} in {run.seconds:.1f} s; {run.stopped_because}",
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
        hint = f"\n[cyan]hint:[/] {safe(one.hint)}" if one.hint else ""
        table.add_row(colours[one.state], f"[bold]{safe(one.name)}[/]", safe(one.found) + hint)
    return table


def bars(per_class: Mapping[str, int]) -> Table:
    """Return the counts per class as bars, which show the tail."""
    largest = max(per_class.values(), default=0) or 1
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, count in per_class.items():
        length = round(40 * count / largest)
        bar = "█" * length or ("▏" if count else "")
        table.add_row(safe(name), str(count), f"[cyan]{bar}[/]")
    return table
