"""Plots of a bench as SVG, drawn from its rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from falw_cli.bench.results import GROUPS, ORIGINAL, RETRAIN, Row, mean
from falw_cli.evaluation.gap_metric import load_metric

MARKS = {"-": "o", "--": "s"}
BASELINE = {"color": "black", "linestyle": ":", "marker": "."}


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """Draw gap by gamma, deviation by group, gap by time and along the run, balance factor."""
    import matplotlib as mpl

    # Without pyplot, no display is needed and no global state is shared.
    mpl.rcParams["svg.hashsalt"] = "falw"
    for ratio in sorted({row.ratio for row in rows}):
        mine = [row for row in rows if row.ratio == ratio]
        share = f"{100 * ratio:g}"
        _save(folder / f"gap-by-gamma-{share}.svg", _gap_by_gamma(mine), f"{share} % forgotten")
        _save(folder / f"deviation-{share}.svg", _deviation(mine), f"{share} % forgotten")
        _save(folder / f"gap-by-time-{share}.svg", _gap_by_time(mine), f"{share} % forgotten")
    if any(moment["gap"] is not None for row in rows for moment in row.curve):
        _save(folder / "gap-along-the-run.svg", _gap_along_run(rows), "one line per run")
    without = {row.entry: row.entry.split(", tau")[0] for row in rows if ", tau" in row.entry}
    settings = {row.setting for row in rows if row.entry in without}
    names = {*without, *without.values()}
    balanced = [row for row in rows if row.entry in names and row.setting in settings]
    if balanced:
        _save(folder / "balance-factor.svg", _deviation(balanced), "without and with balance")


def _figure(entries: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, max(5.5, 1 + 0.22 * entries)), layout="constrained")
    return figure, figure.add_subplot()


def _save(path: Path, drawn: tuple[Any, Any], title: str) -> None:
    from matplotlib.ticker import ScalarFormatter

    figure, axes = drawn
    axes.set_title(title)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":  # 2 and 20, not 2 x 10^0 and 2 x 10^1
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(ScalarFormatter())
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def _entries(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the entries in every setting with their style: colour by method, line by weighting."""
    import matplotlib as mpl

    settings = {row.setting for row in rows}
    methods = list(dict.fromkeys(row.method for row in rows))
    styles = {}
    for row in rows:
        everywhere = {r.setting for r in rows if r.entry == row.entry} == settings
        if row.entry not in (ORIGINAL, RETRAIN) and everywhere:
            colour = mpl.colormaps["tab20"](methods.index(row.method) % 20)
            line = {"none": "-", "falw": "--"}.get(row.weighting, ":")
            line = ":" if ", " in row.entry else line  # a variant with separate settings
            styles[row.entry] = {"color": colour, "linestyle": line, "marker": MARKS.get(line, "^")}
    return styles


def _gap_by_gamma(rows: Sequence[Row]) -> tuple[Any, Any]:
    styles = {**_entries(rows), ORIGINAL: BASELINE, RETRAIN: BASELINE}
    figure, axes = _figure(len(styles))
    gammas = sorted({row.gamma for row in rows})
    for name, style in styles.items():
        gaps = [mean(r.avg_gap for r in rows if r.entry == name and r.gamma == g) for g in gammas]
        points = [(g, gap) for g, gap in zip(gammas, gaps, strict=True) if gap is not None]
        if points:
            label = "noise floor" if name == RETRAIN else name
            axes.plot(*zip(*points, strict=True), label=label, **style)
    axes.set(xlabel="gamma of the forget list", ylabel="Avg. Gap (percentage points)", yscale="log")
    return figure, axes


def _deviation(rows: Sequence[Row]) -> tuple[Any, Any]:
    styles = _entries(rows)
    figure, axes = _figure(len(styles))
    for name, style in styles.items():
        values = [mean(getattr(r, part) for r in rows if r.entry == name) for part in GROUPS]
        points = [(p, v) for p, v in zip(GROUPS, values, strict=True) if v is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, **style)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(ylabel=f"{load_metric('forget_accuracy').label} minus Retrain's (points)")
    return figure, axes


def _gap_by_time(rows: Sequence[Row]) -> tuple[Any, Any]:
    styles = _entries(rows)
    figure, axes = _figure(len(styles))
    for name, style in styles.items():
        mine = [row for row in rows if row.entry == name]
        time, gap = mean(r.time_share for r in mine), mean(r.avg_gap for r in mine)
        if time is not None and gap is not None:
            axes.scatter([time], [gap], color=style["color"], marker=style["marker"], label=name)
    axes.set(
        xlabel="run time (percent of a Retrain's)", ylabel="Avg. Gap (percentage points)",
        xscale="log", yscale="log",
    )  # fmt: skip
    return figure, axes


def _gap_along_run(rows: Sequence[Row]) -> tuple[Any, Any]:
    traced = [row for row in rows if any(moment["gap"] is not None for moment in row.curve)]
    styles = _entries(traced)
    figure, axes = _figure(len(styles))
    for name, style in styles.items():
        for number, row in enumerate(row for row in traced if row.entry == name):
            known = [moment for moment in row.curve if moment["gap"] is not None]
            points = [(one["step"] / row.curve[-1]["step"], one["gap"]) for one in known]
            label = name if not number else None
            axes.plot(*zip(*points, strict=True), label=label, **{**style, "marker": ""})
    axes.set(xlabel="share of the run", ylabel="Avg. Gap (percentage points)", yscale="log")
    return figure, axes
