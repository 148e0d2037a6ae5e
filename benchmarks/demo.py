"""The demo with several random seeds: docs/demo.md.

    python -m benchmarks.demo FOLDER [--seeds 10 20 30 40 4]

Each seed has its own list, trainings and runs; the data are the same. Finished seeds are kept in
FOLDER.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

from falw_cli.audit.report import Report
from falw_cli.cli import demo, demo_data
from falw_cli.cli.console import Console

INTRO = Path(__file__).with_name("demo.intro.md")
PAGE = Path(__file__).parents[1] / "docs" / "demo.md"
SEEDS = (10, 20, 30, 40, demo.SEED)
"""Data and settings were chosen on all but the last, which is the shipped demo's."""


def reports(folder: Path, seed: int) -> dict[str, Report]:
    """Return the reports of a seed, from its folder if it is complete."""
    files = {name: folder / f"model.{name}.audit.json" for name in demo.RUNS}
    if all(file.exists() for file in files.values()):
        return {name: Report.model_validate_json(file.read_text()) for name, file in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    return demo.run_all(folder, seed, None, Console(), page=False)


def figures(found: dict[str, Report]) -> list[float]:
    """Return the figures of a seed, in the order of the columns."""
    first = found["match"].metrics
    assert first.before is not None
    assert first.reference is not None
    after = [one.metrics.after.avg_gap for one in found.values() if one.metrics.after]
    values = [
        first.before.retain_accuracy, first.before.test_accuracy, first.reference.forget_accuracy,
        first.before.avg_gap, *after, first.noise_floor,
    ]  # fmt: skip
    return [value for value in values if value is not None]


def row(name: str, values: list[float]) -> str:
    """Return a row: accuracies with one digit, gaps with two."""
    cells = [f"{value:.{1 if n < 3 else 2}f}" for n, value in enumerate(values)]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Run all seeds, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    asked = parser.parse_args()
    labels = [run.label for run in demo.RUNS.values()]
    head = ["seed", "training accuracy", "unseen accuracy", "Retrain on the list", "before"]
    head += [*labels, "floor"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    found = {seed: figures(reports(asked.folder / str(seed), seed)) for seed in asked.seeds}
    names = {demo.SEED: f"{demo.SEED}, of the shipped demo"}
    lines += [row(names.get(seed, str(seed)), values) for seed, values in found.items()]
    lines.append(row("mean", [mean(values) for values in zip(*found.values(), strict=True)]))
    intro = INTRO.read_text().replace("HOW_MADE", demo_data.HOW_MADE)
    PAGE.write_text(intro + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
