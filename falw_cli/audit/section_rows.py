"""The optional sections of a report as rows: recovery, recognition with noise, shadow models."""

from __future__ import annotations

from dataclasses import replace

from falw_cli.audit.report import Comeback, Relearned, Robustness
from falw_cli.audit.rows import Cell, Row, attack, cell, figure
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.metrics import Interval
from falw_cli.evaluation.per_sample import PerSample


def comeback_rows(found: Comeback) -> list[Row]:
    """Return the accuracy changes by rounding the weights."""
    return [
        Row(f"{kind}: {load_metric(name).label}", "points", {"value": figure(change)})
        for kind, one in (("float16", found.fp16), ("int8", found.int8))
        for name, change in (
            ("forget_accuracy", one.forget_change), ("test_accuracy", one.test_change),
        )
    ]  # fmt: skip


def relearned_rows(found: Relearned) -> list[Row]:
    """Return the effect of relearning; no steps mean that the accuracy did not recover."""
    models = [
        ("", found.returned_after, found.excess),
        *(
            (f"Retrain {number}: ", steps, excess)
            for number, (steps, excess) in enumerate(
                zip(found.reference_returned_after, found.reference_excess, strict=True), 1
            )
        ),
    ]
    return [
        row
        for name, steps, excess in models
        for row in (
            Row(
                f"{name}other forget samples recovered to {found.goal:.0f} % after", "steps",
                {"value": cell(steps, None, 0)},
            ),
            Row(f"{name}their gain minus that of unseen samples", "points",
                {"value": cell(excess, None)}),
        )
    ]  # fmt: skip


def robustness_rows(found: Robustness) -> list[Row]:
    """Return the shares of samples recognised again with noise."""
    rows = [
        Row("forget samples recognised again", "%", {"value": figure(found.forget)}),
        Row("unseen samples recognised again", "%", {"value": figure(found.unseen)}),
        Row("forget minus unseen", "points", {"value": figure(found.difference)}),
    ]
    for number, one in enumerate(found.references, 1):
        name = f"Retrain {number}"
        rows += [
            Row(f"{name}: forget samples recognised again", "%", {"value": figure(one.forget)}),
            Row(f"forget minus {name}", "points", {"value": figure(one.difference)}),
            Row(f"residual knowledge against {name}", "", {"value": cell(one.ratio, None)}),
        ]
    return [row for row in rows if any(row.cells.values())]


def per_sample_rows(found: PerSample) -> list[Row]:
    """Return the per-sample attacks, and the distance between the ensembles' margins."""
    rows = []
    for label, one, test in (
        ("U-LiRA", found.ulira, "how much more likely the sample’s margin is in models that "
         "unlearned it than in models that never saw it"),
        ("RMIA", found.rmia, "how many unseen samples the sample stands out from"),
    ):  # fmt: skip
        if one is None:
            continue
        first, *others = attack(f"{label} on shadow models", {"value": one})
        rows += [
            replace(first, explanation=f"Ranks the samples by {test}; 0.5 is chance."),
            *others,
        ]
        title = f"{label}: distinguished in this model at 1 % FPR"
        rows.append(Row(title, "%", {"value": figure(one.distinguished)}))
    if found.klom is not None:
        klom = f"KLoM, {found.klom_chance:.2f} by chance"
        rows.append(
            Row(
                klom, "nats", {"value": figure(found.klom)},
                "How far the margins of unlearned samples are from those of samples never seen (KL "
                "divergence). With few models it is above 0 by chance.",
            )
        )  # fmt: skip
    return [row for row in rows if any(row.cells.values())]


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
