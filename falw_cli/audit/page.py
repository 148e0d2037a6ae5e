"""Reports as a self-contained HTML page and as Markdown."""

from __future__ import annotations

import hashlib
import shlex
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from falw_cli.audit import rows, section_rows, shadows
from falw_cli.audit.drawing import PALETTE, Picture
from falw_cli.audit.erasure import erasure_sections
from falw_cli.audit.gauge import gauge
from falw_cli.audit.glossary import anchor, glossary
from falw_cli.audit.pictures import pictures, roc
from falw_cli.audit.report import Report
from falw_cli.audit.rows import Row
from falw_cli.audit.verdict import Verdict, verdict
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.metrics import Figure, Metrics
from falw_cli.runtime.extras import need
from falw_cli.runtime.printable import counted, markdown_text, printable

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
LIMITS = (
    "Unlearning of this kind is approximate: it moves a model towards a retrained one, and gives "
    "no bound on the remaining influence of the forget samples.",
    "Tests that find nothing do not prove that nothing remains. Per-sample attacks, with models "
    "trained with and without a sample, find more; “falw audit --shadow” runs some of them.",
    "All figures are based on the available samples and Retrain models. Intervals show how much "
    "other samples would change a figure. They do not cover other forget lists, data or attacks.",
    "Intervals do not include seed-to-seed variation. Two or more Retrain models, trained with "
    "different seeds, show it.",
    "Distributed copies of the model, its logs and its training data are not checked.",
)


@dataclass(frozen=True)
class NamedReport:
    """A report and its display name."""

    name: str
    report: Report


def display_name(file: Path) -> str:
    """Return the name of a report's file without `.audit.json`."""
    return file.name.removesuffix(".json").removesuffix(".audit")


def html(named: Sequence[NamedReport]) -> str:
    """Return an HTML page: one report in full, or the figures of several side by side.

    Raises:
        RequestError: matplotlib, which draws the pictures, is missing.
    """
    need("matplotlib", "report", "a page's pictures")
    if len(named) == 1:
        return _single_report(named[0])
    return _side_by_side(named)


def _single_report(named: NamedReport) -> str:
    report = named.report
    shown = rows.models(report.metrics)
    tables = _tables(shown)
    per_sample = section_rows.per_sample_rows(report.per_sample) if report.per_sample else []
    share = _share(report)
    return _render(
        "page.html.j2",
        name=named.name,
        report=report,
        verdict=verdict(report),
        share=rows.share(share),
        gauge=gauge(share) if share else "",
        **tables,
        glossary=glossary([*tables["main"], *per_sample]),
        per_sample=per_sample,
        evidence=section_rows.evidence_rows(report.per_sample) if report.per_sample else [],
        evidence_limit=shadows.limit(report.per_sample) if report.per_sample else "",
        comeback=section_rows.comeback_rows(report.comeback) if report.comeback else [],
        robustness=section_rows.robustness_rows(report.robustness) if report.robustness else [],
        classes={
            load_metric(name).label: rows.class_rows(shown, name)
            for name in ("forget_accuracy", "test_accuracy")
        },
        class_shares=rows.class_share_rows(_with_share(shown)),
        share_columns=list(_with_share(shown)),
        pictures=pictures(report, shown),
        after=report.metrics.after,
        noise_floor=_noise_floor(report),
        cell=rows.figure,
        settings=_settings(report),
        command=_command(report.command),
        copy_script=_copy_script(),
        copy_digest=f"sha256-{b64encode(hashlib.sha256(_copy_script().encode()).digest()).decode()}",
    )


def _command(words: Sequence[str]) -> str:
    """Return the command line for a shell, with falw's name in place of its installed file."""
    file = Path(*words[:1])
    own = file.is_absolute() and file.name in ("falw", "__main__.py")
    return shlex.join(printable(word) for word in (["falw", *words[1:]] if own else words))


def _share(report: Report) -> Figure | None:
    """Return the forgotten share beside the verdict; a report without a verdict has none."""
    after = report.metrics.after
    return after.forgotten_share if after and not report._problem else None


@cache
def _copy_script() -> str:
    """Return the page's only script; its digest in the page's policy allows no other."""
    return (TEMPLATES / "copy.js").read_text(encoding="utf-8")


def _with_share(shown: dict[str, Metrics]) -> dict[str, Metrics]:
    """Return the models that can have a forgotten share: those that were unlearned."""
    return {name: one for name, one in shown.items() if name in ("after", "model")}


def _noise_floor(report: Report) -> str:
    floor = report.metrics.noise_floor
    return "" if floor is None else (
        f"Noise floor: the mean Avg. Gap between two Retrain models, which differ only in their "
        f"seed, is {floor:.2f} points. A gap to Retrain of this size may be seed-to-seed variation."
    )  # fmt: skip


def _tables(shown: dict[str, Metrics]) -> dict[str, Any]:
    """Return the tables of models, one column each, and the text on the limits of a report."""
    return {
        "columns": list(shown), "main": rows.main_rows(shown), "groups": rows.group_rows(shown),
        "attacks": rows.attack_rows(shown), "limits": LIMITS,
    }  # fmt: skip


def _settings(report: Report) -> dict[str, Any]:
    """Return the main settings and results of the run, by label."""
    recipe, run = report.config.get("unlearn", {}), report.run
    count = report.forget.count
    facts: dict[str, Any] = {"forget list": counted(count, "sample")}
    if run:
        facts |= {
            "method": f"{recipe.get('method')} × {recipe.get('weighting')}",
            "run": f"{counted(run.steps, 'step')}, {counted(run.epochs, 'epoch')}, "
            f"{run.seconds:.1f} s",
            "stopped": run.stopped_because,
        }
    return facts


def _side_by_side(named: Sequence[NamedReport]) -> str:
    """Return the page of several reports, one column per audited model."""
    shown = {one.name: m for one in named if (m := one.report.metrics.after) is not None}
    verdicts: dict[str, Verdict] = {one.name: verdict(one.report) for one in named}
    picture: Picture | None = roc(shown, PALETTE) if any(m.mia for m in shown.values()) else None
    shares = {one.name: _share(one.report) for one in named}
    tables = _tables(shown)
    return _render(
        "beside.html.j2",
        named=named,
        verdicts=verdicts,
        shares={name: rows.share(share) for name, share in shares.items()},
        gauges={name: gauge(share) if share else "" for name, share in shares.items()},
        **tables,
        glossary=glossary(tables["main"]),
        copy_digest="",
        settings={one.name: _settings(one.report) for one in named},
        picture=picture,
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"plain": _plain, "prose": _prose, "anchor": anchor}
    return made


def _render(template: str, **content: Any) -> str:
    text: str = _environment().get_template(template).render(**content)
    return text


def _plain(text: object) -> str:
    """Return text from files without control characters and bidirectional overrides."""
    return printable(str(text))


def _prose(text: object) -> str:
    """Return a sentence that no line break separates from a unit or an equals sign."""
    return _plain(text).replace(" %", "\u00a0%").replace("p = ", "p\u00a0=\u00a0")


def markdown(named: Sequence[NamedReport]) -> str:
    """Return Markdown for a pull request comment: verdict, figures, gates, warnings."""
    parts = []
    for one in named:
        report, said = one.report, verdict(one.report)
        shown = rows.models(report.metrics)
        parts += [f"### {markdown_text(one.name)}: {said.headline}", ""]
        parts += [f"- {markdown_text(point)}" for point in said.points] + [""]
        parts += _table(["figure", *shown], rows.main_rows(shown) + rows.group_rows(shown))
        if shares := rows.class_share_rows(_with_share(shown)):
            table = _table(["class", *_with_share(shown)], shares)
            parts += ["", "<details><summary>forgotten share of each class</summary>", ""]
            parts += [*table, "", "</details>"]
        if report.comeback:
            found = section_rows.comeback_rows(report.comeback)
            parts += ["", *_table(["after minus before rounding the weights", "value"], found)]
            if again := report.comeback.relearned:
                head = [f"relearning {again.samples} of the forget samples", "value"]
                parts += ["", *_table(head, section_rows.relearned_rows(again))]
        if report.robustness:
            found = section_rows.robustness_rows(report.robustness)
            parts += ["", *_table(["with noise", "value"], found)]
        if attacks := section_rows.per_sample_rows(report.per_sample) if report.per_sample else []:
            parts += ["", *_table(["shadow models", "value"], attacks)]
        if report.per_sample and (evidence := section_rows.evidence_rows(report.per_sample)):
            parts += ["", *_table(["evidence, percent", *evidence[0].cells], evidence)]
            parts += ["", shadows.limit(report.per_sample)]
        if report.gates:
            parts += ["", "| gate | value | |", "| --- | --- | --- |"]
            parts += [
                f"| {markdown_text(gate.expression)} | {gate.shown} | "
                f"{'passed' if gate.passed else '**failed**'} |"
                for gate in report.gates
            ]
        if report.warnings:
            parts += ["", *(f"- warning: {markdown_text(text)}" for text in report.warnings)]
        if sections := erasure_sections(report):
            parts += ["", *sections]
        parts += ["", f"`falw {report.tool.version}`, report `{(report.digest or '')[:16]}`", ""]
    return "\n".join(parts)


def _table(head: list[str], figures: Sequence[Row]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in figures:
        cells = [str(row.cells.get(name) or "–") for name in head[1:]]
        lines.append("| " + " | ".join([markdown_text(row.title), *cells]) + " |")
    return lines
