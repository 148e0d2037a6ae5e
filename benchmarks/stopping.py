"""Quality of `--stop auto`, judged by retrained models, and of each method with its defaults.

    falw bench benchmarks/stopping.yaml --out WORK_FOLDER   (a copy in CIFAR-10's folder)
    python benchmarks/stopping.py WORK_FOLDER

Applies the rule to recorded evaluations of runs without early stopping; writes docs/stopping.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falw_cli.config.settings import UnlearnRecipe
from falw_cli.unlearning.early_stopping import decide
from falw_cli.unlearning.stop_estimate import Evaluation

DOCS = Path(__file__).parents[1] / "docs"
GOAL = 1.5
GUARD = UnlearnRecipe().max_utility_loss
GUARDS = (3.0, 5.0, GUARD, 10.0, 100.0)


@dataclass(frozen=True)
class Run:
    """A run without early stopping: Avg. Gap of the original and of each evaluation."""

    entry: str
    original: float
    before: Evaluation
    evaluations: list[Evaluation]
    floor: float

    def kept(self, guard: float) -> float | None:
        """Return the Avg. Gap of the output that the rule would write, or None."""
        found, _ = decide(self.evaluations, self.before, guard, self.evaluations[-1].step)
        return None if found is None else found.gap

    @property
    def gaps(self) -> list[float]:
        """Avg. Gap at each evaluation."""
        return [one.gap or 0.0 for one in self.evaluations]

    def ends_well(self, guard: float) -> bool:
        """Return whether the kept evaluation is within GOAL times the best one."""
        kept = self.kept(guard)
        return kept is not None and kept <= GOAL * min(self.gaps)

    def ends_badly(self, guard: float) -> bool:
        """Return whether the kept evaluation is distinguishably worse than the best one."""
        kept = self.kept(guard)
        return kept is None or kept > max(GOAL * min(self.gaps), min(self.gaps) + self.floor)


def read(work: Path) -> list[Run]:
    """Return the traced runs of a bench."""
    rows = json.loads((work / "results.json").read_text())["rows"]

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["ratio"], row["gamma"], row["seed"]

    gap = {(row["entry"], *place(row)): row["avg_gap"] for row in rows}
    runs = []
    for row in rows:
        evaluations = [Evaluation(**moment) for moment in row["curve"] or ()]
        if len(evaluations) > 1:
            original, floor = (gap[(name, *place(row))] for name in ("original", "Retrain"))
            runs.append(Run(row["entry"], original, evaluations[0], evaluations[1:], floor))
    return runs


def mean(values: Sequence[float | None]) -> str:
    """Return the mean of the known values and the number of missing ones."""
    known = [value for value in values if value is not None]
    missing = len(values) - len(known)
    shown = f"{statistics.mean(known):.2f}" if known else "–"
    return f"{shown} ({missing} not written)" if missing else shown


def line(entry: str, runs: list[Run]) -> str:
    """Return a row of the table of methods."""
    kept = [run.kept(GUARD) for run in runs]
    halved = sum(k is not None and k <= run.original / 2 for k, run in zip(kept, runs, strict=True))
    cells = [
        entry, str(len(runs)), mean([run.original for run in runs]), mean(kept),
        mean([min(run.gaps) for run in runs]), mean([run.gaps[-1] for run in runs]),
        str(halved), str(sum(run.ends_well(GUARD) for run in runs)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the bench's results, and write docs/stopping.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    runs = read(work)
    tool = json.loads((work / "results.json").read_text())["tool"]
    names = list(dict.fromkeys(run.entry for run in runs))
    table = [line(name, [run for run in runs if run.entry == name]) for name in names]
    guards = []
    for guard in GUARDS:
        good, bad = (
            sum(bool(test(guard)) for test in tests)
            for tests in ([run.ends_well for run in runs], [run.ends_badly for run in runs])
        )
        unwritten = sum(run.kept(guard) is None for run in runs)
        shown = f"{guard:g} (default)" if guard == GUARD else f"{guard:g}"
        guards.append(f"| {shown} | {good} of {len(runs)} | {len(runs) - bad} | {unwritten} |")
    text = (Path(__file__).with_name("stopping.intro.md")).read_text()
    ended = f"{sum(run.ends_well(GUARD) for run in runs)} of {len(runs)}"
    text = text.replace("TOOL", tool).replace("GOAL", f"{GOAL:g}").replace("ENDED", ended)
    text = text.replace("METHODS", "\n".join(table)).replace("GUARDS", "\n".join(guards))
    (DOCS / "stopping.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
