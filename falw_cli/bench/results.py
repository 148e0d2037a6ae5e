"""Results of a bench: rows over seeds, as CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from falw_cli.bench.grid import Grid
from falw_cli.bench.jobs import Job
from falw_cli.bench.plan import Bench, Entry, Scenario
from falw_cli.evaluation.gap import FIELD
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.runtime.outputs import write_all
from falw_cli.version import __version__

ORIGINAL, RETRAIN = "original", "Retrain"
FIGURES = (*FIELD, "avg_gap")
GROUPS = ("head", "mid", "tail")


@dataclass(frozen=True)
class Row(Scenario):
    """A model on a list: a scored cell, the original, or Retrain (whose gap is the noise floor)."""

    entry: str
    method: str
    weighting: str
    lr: float | None
    forget_accuracy: float
    retain_accuracy: float
    test_accuracy: float
    mia_efficacy: float
    avg_gap: float | None
    head: float | None
    mid: float | None
    tail: float | None
    steps: int | None
    time_share: float | None
    """Run time as a share of a Retrain's, percent."""
    stopped_because: str
    curve: tuple[dict[str, Any], ...] = ()
    """The report's evaluations along the run."""

    @property
    def setting(self) -> tuple[str, str, float, float]:
        """The setting within which rows are compared."""
        return self.dataset, self.arch, self.ratio, self.gamma


def collect(grid: Grid, cells: Mapping[tuple[Scenario, Entry], Job]) -> list[Row]:
    """Return a row for each original, Retrain and finished cell."""
    rows: list[Row] = []
    seconds: dict[Scenario, float] = {}
    for (scenario, entry), job in cells.items():
        report = grid.store.load("cells", job.name, ".audit.json")
        if report is None:
            continue
        metrics, run = report["metrics"], report["run"]
        if scenario not in seconds:
            trained = [grid.store.load("models", one.name) for one in grid.references(scenario)]
            seconds[scenario] = statistics.mean(one["seconds"] for one in trained if one)
            retrain = {**metrics["reference"], "avg_gap": metrics["noise_floor"]}
            rows.append(_row(scenario, ORIGINAL, metrics["before"]))
            rows.append(_row(scenario, RETRAIN, retrain))
        more = {key: run[key] for key in ("lr", "steps", "stopped_because")}
        more |= {"method": entry.method, "weighting": entry.weighting, "curve": tuple(run["curve"])}
        more["time_share"] = 100 * run["seconds"] / seconds[scenario]
        rows.append(_row(scenario, entry.label, metrics["after"], **more))
    return rows


def _row(scenario: Scenario, entry: str, metrics: dict[str, Any], **more: Any) -> Row:
    blank = {
        "method": "", "weighting": "", "lr": None, "steps": None, "time_share": None,
        "stopped_because": "",
    }  # fmt: skip
    return Row(
        **asdict(scenario),
        entry=entry,
        **{key: metrics[key] for key in FIGURES},
        **{part: metrics["groups"][part]["deviation"] for part in GROUPS},
        **{**blank, **more},
    )


def write(folder: Path, bench: Bench, rows: Sequence[Row]) -> None:
    """Write results.csv, results.json and results.md."""
    stream = io.StringIO()
    names = [name for name in Row.__dataclass_fields__ if name != "curve"]
    table = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    whole = {"tool": f"falw {__version__}", "rows": [asdict(row) for row in rows]}
    texts = {
        "results.csv": stream.getvalue(), "results.json": json.dumps(whole, indent=1),
        "results.md": "\n".join(markdown(bench, rows)),
    }  # fmt: skip
    write_all({folder / name: text.encode() for name, text in texts.items()})


def markdown(bench: Bench, rows: Sequence[Row]) -> list[str]:
    """Return the tables: one per setting, then FaLW compared with the plain method."""
    lines = [
        "# Bench", "",
        f"falw {__version__}. Values are in percent: mean ± standard deviation over "
        f"{len(bench.seeds)} scored seeds. {_rule(bench)}", "",
        f"{_names(FIELD)}. Avg. Gap is measured to the mean of {bench.references} Retrain models. "
        "The row Retrain shows the noise floor: the gap between two of them. Head, mid and tail "
        f"are {load_metric('forget_accuracy').label} minus that of Retrain. Time is relative to "
        "the time of one retraining. A star marks a gap within the noise floor of the smallest "
        "one.", "",
    ]  # fmt: skip
    for setting in dict.fromkeys(row.setting for row in rows):
        lines += _setting(setting, [row for row in rows if row.setting == setting])
    return [*lines, *versus(rows)]


def _names(metrics: Iterable[str]) -> str:
    """Explain the short names of the columns."""
    return ", ".join(f"{load_metric(one).short}: {load_metric(one).label}" for one in metrics)


def _rule(bench: Bench) -> str:
    search = bench.search
    if not any(block.search for block in bench.entries):
        return "Each entry sets its learning rate."
    if search.rule == "reference-free":
        return "Learning rates are found by `--lr auto`, without a Retrain model."
    return (
        "Each learning rate gives the smallest gap on a seed that is not scored (seed "
        f"{search.seed}, ratio {search.ratio:g}, gamma {search.gamma:g}), unless an entry sets its "
        "own."
    )


def _setting(setting: tuple[str, str, float, float], rows: Sequence[Row]) -> list[str]:
    dataset, arch, ratio, gamma = setting
    columns = [*(load_metric(name).short for name in FIELD), "Avg. Gap", *GROUPS, "time"]
    lines = [
        f"## {dataset}, {arch}, {100 * ratio:g} %, gamma {gamma:g}", "",
        f"| entry | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|",
    ]  # fmt: skip
    floor = mean(row.avg_gap for row in rows if row.entry == RETRAIN) or 0.0
    names = dict.fromkeys(row.entry for row in rows)
    gaps = {name: mean(r.avg_gap for r in rows if r.entry == name) for name in names}
    known = {n: gap for n, gap in gaps.items() if gap is not None and n not in (ORIGINAL, RETRAIN)}
    least = min(known.values(), default=0.0)
    for name in sorted(gaps, key=lambda n: (n == RETRAIN, gaps[n] if gaps[n] is not None else 1e9)):
        mine = [row for row in rows if row.entry == name]
        cells = [spread(getattr(row, key) for row in mine) for key in (*FIGURES, *GROUPS)]
        if name in known and known[name] <= least + floor:
            cells[len(FIGURES) - 1] += " *"
        lines.append(f"| {name} | {' | '.join(cells)} | {spread(r.time_share for r in mine)} |")
    return [*lines, ""]


def versus(rows: Sequence[Row], one: str = "falw", other: str = "none") -> list[str]:
    """Compare two weightings on every method that has both: paired differences of Avg. Gap."""
    lines = [
        f"## {one} against {other}", "",
        f"Avg. Gap of `{one}` minus that of `{other}` on the same lists: mean ± standard deviation "
        f"over lists and seeds. A value below 0 means that `{one}` helps. A tilde marks a "
        "difference within the noise floor. The last column compares the absolute deviations of "
        "the tail classes in the same way.", "",
    ]  # fmt: skip
    settings = sorted({(row.ratio, row.gamma) for row in rows})
    names = [f"{100 * ratio:g} %, gamma {gamma:g}" for ratio, gamma in settings]
    lines += [
        f"| method | {' | '.join(names)} | all | tail, all |",
        "|---" * (len(names) + 3) + "|",
    ]
    named = dict.fromkeys(row.method for row in rows if row.weighting == one)
    both = {method: found for method in named if (found := _pairs(rows, method, one, other))}
    floors = [row.avg_gap for row in rows if row.entry == RETRAIN and row.avg_gap is not None]
    floor = statistics.mean(floors) if floors else 0.0
    for method, pairs in both.items():
        cells = [
            _shift([p for p in pairs if (p[0].ratio, p[0].gamma) == s], floor) for s in settings
        ]
        tail = spread(abs(a.tail or 0.0) - abs(b.tail or 0.0) for a, b in pairs)
        lines.append(f"| {method} | {' | '.join(cells)} | {_shift(pairs, floor)} | {tail} |")
    return [*lines, ""] if both else []


def _pairs(rows: Sequence[Row], method: str, one: str, other: str) -> list[tuple[Row, Row]]:
    mine = {
        (row.setting, row.seed, row.weighting): row
        for row in rows
        if row.entry == f"{method} x {row.weighting}"
    }
    return [
        (row, mine[setting, seed, other])
        for (setting, seed, weighting), row in mine.items()
        if weighting == one and (setting, seed, other) in mine
    ]


def _shift(pairs: Sequence[tuple[Row, Row]], floor: float) -> str:
    differences = [
        a.avg_gap - b.avg_gap for a, b in pairs if a.avg_gap is not None and b.avg_gap is not None
    ]
    if not differences:
        return "–"
    near = "~" if abs(statistics.mean(differences)) <= floor else ""
    return near + spread(differences)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def spread(values: Iterable[float | None]) -> str:
    """Mean ± standard deviation of the known values, as text."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    deviation = f" ± {statistics.stdev(known):.2f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.2f}{deviation}"
