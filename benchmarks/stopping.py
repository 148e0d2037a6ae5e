"""How well `--stop auto` ended, known afterwards by Retrain: docs/stopping.md.

falw bench benchmarks/stopping.yaml --out WORK_FOLDER   (a copy beside CIFAR-10)
python benchmarks/stopping.py WORK_FOLDER
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from falw_cli.config import UnlearnRecipe
from falw_cli.unlearning.looking import Look
from falw_cli.unlearning.stopping import decide

DOCS = Path(__file__).parents[1] / "docs"
GOAL = 1.5


def ending(row: dict[str, Any]) -> tuple[float, float, float]:
    """Avg. Gap of what was kept, of the best moment, and of the last one."""
    before, *looks = (Look(**moment) for moment in row["curve"])
    kept, _ = decide(looks, before, UnlearnRecipe().max_utility_loss, looks[-1].step)
    gaps = [found.gap or 0.0 for found in looks]
    return (kept or before).gap or gaps[0], min(gaps), gaps[-1]


def main() -> None:
    """Read the bench's results, and write docs/stopping.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    whole = json.loads((parser.parse_args().work / "results.json").read_text())
    rows = [
        row for row in whole["rows"] if any(moment["gap"] is not None for moment in row["curve"])
    ]
    floors = [row["avg_gap"] for row in whole["rows"] if row["entry"] == "Retrain"]
    lines = [
        "# How well `--stop auto` ends",
        "",
        f"Made by `python benchmarks/stopping.py WORK_FOLDER` from `falw bench "
        f"benchmarks/stopping.yaml` ({whole['tool']}): methods with their defaults on the CIFAR-10 "
        "subset of [results](results.md), lists of 10 % at gamma 0, 1 and 2, three seeds. "
        "Each run went on to its end and its Avg. Gap was recorded at every look, which no "
        "decision saw. *Kept*: the gap of the weights that were written. *Best*: the smallest gap "
        "of any look at the same run. *End*: the gap at the end of the schedule. A run counts as "
        f"well ended if kept is at most {GOAL} times best.",
        "",
        "| method | runs | well ended | kept | best | end | kept / best, median |",
        "|---|---|---|---|---|---|---|",
    ]
    ends = {name: [ending(r) for r in rows if r["entry"] == name] for name in _names(rows)}
    ends["all"] = [one for several in ends.values() for one in several]
    for name, several in ends.items():
        good = sum(kept <= GOAL * best for kept, best, _ in several)
        means = " | ".join(
            f"{statistics.mean(values):.2f}" for values in zip(*several, strict=True)
        )
        ratio = statistics.median(kept / best for kept, best, _ in several)
        lines.append(f"| {name} | {len(several)} | {good} | {means} | {ratio:.2f} |")
    lines += ["", f"Noise floor, mean over lists: {statistics.mean(floors):.2f}.", ""]
    (DOCS / "stopping.md").write_text("\n".join(lines))
    print("\n".join(lines))


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["entry"] for row in rows))


if __name__ == "__main__":
    main()
