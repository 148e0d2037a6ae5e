"""The pictures of a bench, as SVG: drawn from its rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from falw_cli.bench.results import GROUPS, ORIGINAL, RETRAIN, Row, mean


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """Gap by gamma, deviation by group, gap against time and along the run, balance factor."""
    import matplotlib as mpl

    # No pyplot: no window system is asked for, and no state is shared.
    mpl.rcParams["svg.hashsalt"] = "falw"
    for ratio in sorted({row.ratio for row in rows}):
        mine = [row for row in rows if row.ratio == ratio]
        share = f"{100 * ratio:g}"
        _save(folder / f"gap-by-gamma-{share}.svg", _gap_by_gamma(mine), f"{share} % forgotten")
        _save(folder / f"deviation-{share}.svg", _deviation(mine), f"{share} % forgotten")
        _save(folder / f"gap-by-time-{share}.svg", _gap_by_time(mine), f"{share} % forgotten")
    if any(moment["gap"] is not None for row in rows for moment in row.curve):
        _save(folder / "gap-along-the-run.svg", _along(rows), "first seed of each setting")
    balanced = [row for row in rows if "tau" in row.entry]
    if balanced:
        _save(folder / "balance-factor.svg", _deviation(balanced), "without and with balance")


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    return figure, figure.add_subplot()


def _save(path: Path, drawn: tuple[Any, Any], title: str) -> None:
    figure, axes = drawn
    axes.set_title(title)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def _entries(rows: Sequence[Row]) -> list[str]:
    return [n for n in dict.fromkeys(row.entry for row in rows) if n not in (ORIGINAL, RETRAIN)]


def _style(index: int) -> dict[str, Any]:
    """Twenty colours, then the same with another line."""
    import matplotlib as mpl

    return {
        "color": mpl.colormaps["tab20"](index % 20),
        "linestyle": ("-", "--", ":")[index // 20 % 3],
    }


def _gap_by_gamma(rows: Sequence[Row]) -> tuple[Any, Any]:
    figure, axes = _figure()
    gammas = sorted({row.gamma for row in rows})
    for index, name in enumerate([*_entries(rows), ORIGINAL, RETRAIN]):
        gaps = [mean(r.avg_gap for r in rows if r.entry == name and r.gamma == g) for g in gammas]
        points = [(g, gap) for g, gap in zip(gammas, gaps, strict=True) if gap is not None]
        if points:
            label = "noise floor" if name == RETRAIN else name
            look = (
                {"color": "black", "linestyle": ":"}
                if name in (ORIGINAL, RETRAIN)
                else _style(index)
            )
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label, **look)
    axes.set(xlabel="gamma of the forget list", ylabel="Avg. Gap (percentage points)", yscale="log")
    return figure, axes


def _deviation(rows: Sequence[Row]) -> tuple[Any, Any]:
    figure, axes = _figure()
    for index, name in enumerate(_entries(rows)):
        values = [mean(getattr(r, part) for r in rows if r.entry == name) for part in GROUPS]
        points = [(p, v) for p, v in zip(GROUPS, values, strict=True) if v is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=name, **_style(index))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(ylabel="forget accuracy minus Retrain's (points)")
    return figure, axes


def _gap_by_time(rows: Sequence[Row]) -> tuple[Any, Any]:
    figure, axes = _figure()
    for index, name in enumerate(_entries(rows)):
        mine = [row for row in rows if row.entry == name]
        time, gap = mean(r.time_share for r in mine), mean(r.avg_gap for r in mine)
        if time is not None and gap is not None:
            axes.scatter([time], [gap], color=_style(index)["color"], label=name)
    axes.set(
        xlabel="run time (percent of a Retrain's)", ylabel="Avg. Gap (percentage points)",
        xscale="log", yscale="log",
    )  # fmt: skip
    return figure, axes


def _along(rows: Sequence[Row]) -> tuple[Any, Any]:
    figure, axes = _figure()
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = (*row.setting, row.entry)
        known = [moment for moment in row.curve if moment["gap"] is not None]
        points = [(moment["step"] / row.curve[-1]["step"], moment["gap"]) for moment in known]
        if points and key not in seen:
            seen.add(key)
            label = f"{row.entry}, {100 * row.ratio:g} %, gamma {row.gamma:g}"
            axes.plot(*zip(*points, strict=True), label=label, **_style(len(seen) - 1))
    axes.set(xlabel="share of the run", ylabel="Avg. Gap (percentage points)", yscale="log")
    return figure, axes
