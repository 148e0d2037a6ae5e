"""The search behind the defaults: learning rate and epochs of each method, on CIFAR-10 and digits.

    python benchmarks/defaults.py CIFAR_FOLDER WORK_FOLDER

CIFAR-10: the subset of benchmarks/cifar10.py at seed 0, which is not scored there. Digits: seeds 1
to 3. Writes docs/defaults.md. What WORK_FOLDER has already is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from itertools import product
from pathlib import Path
from typing import Any

import cifar10

DIGITS = {"data": "digits#train", "heldout": "digits#test"}
RANDOM_LABEL = [*product((0.003, 0.01, 0.03), (1, 2, 4)), (0.1, 1), (0.1, 2)]
GRID = {
    ("finetune", "none"): [*product((0.01, 0.03, 0.1), (2, 5))],
    ("gradient-ascent", "none"): [*product((1e-4, 3e-4, 1e-3), (1, 2, 5))],
    ("random-label", "none"): RANDOM_LABEL,
    ("random-label", "falw"): RANDOM_LABEL,
}
"""(learning rate, epochs) of each method x weighting on CIFAR-10."""
DIGITS_GRID = {
    ("finetune", "none"): [(0.1, 5)],
    ("gradient-ascent", "none"): [(3e-4, 5)],
    ("random-label", "none"): [*product((0.01, 0.03, 0.1), (1, 2))],
    ("random-label", "falw"): [*product((0.01, 0.03, 0.1), (1, 2))],
}
"""The same on the digits: around what CIFAR-10 chose."""
ALLOWED_LOSS = 5.0
"""Points of retain and of test accuracy that a cell may lose and still be chosen."""
Grid = dict[tuple[str, str], list[tuple[float, int]]]


def digits_models(folder: Path, seed: int) -> None:
    """An original, a list (25 %, gamma 1) and two Retrain references on the digits."""
    folder.mkdir(parents=True, exist_ok=True)
    config, ids = folder / "falw.yaml", folder / "ids.txt"
    config.write_text("arch: tiny-cnn\ntrain: {epochs: 15}\n")
    common = ("--config", str(config), "--data", DIGITS["data"])
    if not ids.exists():
        draw = ("--ratio", "0.25", "--gamma", "1", "--seed", str(seed))
        cifar10.falw("forget-list", *common, *draw, stdout=ids)
    for name, its_seed, more in (
        ("model", seed, ()),
        ("retrain-a", 100 + seed, ("--without", str(ids))),
        ("retrain-b", 200 + seed, ("--without", str(ids))),
    ):
        out = folder / f"{name}.safetensors"
        if not out.exists():
            cifar10.falw("train", *common, "--out", str(out), "--seed", str(its_seed), *more)


def sweep(
    grid: Grid, specs: dict[str, str], folders: dict[int, Path]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Mean metrics over the seeds for each method x weighting and its (lr, epochs)."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for (method, weighting), cells in grid.items():
        for lr, epochs in cells:
            flags = ("--lr", str(lr), "--epochs", str(epochs))
            reports = [
                cifar10.unlearn(specs, folder, seed, method, weighting, *flags)
                for seed, folder in folders.items()
            ]
            cell = {"steps": reports[0]["run"]["steps"], "lr": lr, "epochs": epochs}
            for key in cifar10.COLUMNS:
                cell[key] = statistics.mean(r["metrics"]["after"][key] for r in reports)
            found.setdefault((method, weighting), {})[f"{lr:g} x {epochs}"] = cell
    return found


def section(
    title: str, before: dict[str, float], found: dict[tuple[str, str], dict[str, Any]]
) -> list[str]:
    """A Markdown table of a sweep; in bold the best cell of each method that harms little."""
    figures = ", ".join(f"{name} {before[key]:.2f}" for key, name in cifar10.COLUMNS.items())
    lines = [f"## {title}", "", f"The original: {figures}.", ""]
    lines += ["| method | lr | epochs | steps | FA | RA | TA | MIA | Avg. Gap |", "|---" * 9 + "|"]
    for (method, weighting), cells in found.items():
        kept = [
            cell["avg_gap"]
            for cell in cells.values()
            if all(
                cell[key] >= before[key] - ALLOWED_LOSS
                for key in ("retain_accuracy", "test_accuracy")
            )
        ]
        best = min(kept, default=None)
        for cell in cells.values():
            mark = "**" if cell["avg_gap"] == best else ""
            figures = " | ".join(f"{cell[key]:.2f}" for key in list(cifar10.COLUMNS)[:-1])
            lines.append(
                f"| {method} x {weighting} | {cell['lr']:g} | {cell['epochs']} | {cell['steps']} "
                f"| {figures} | {mark}{cell['avg_gap']:.2f}{mark} |"
            )
    return [*lines, ""]


def main() -> None:
    """Make the models and the sweeps, then docs/defaults.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("work", type=Path)
    wanted = parser.parse_args()
    specs = cifar10.subset(wanted.cifar)
    cifar = {0: wanted.work / "seed0"}
    cifar10.make_models(specs, cifar[0], 0)
    digits = {seed: wanted.work / f"digits{seed}" for seed in (1, 2, 3)}
    for seed, folder in digits.items():
        digits_models(folder, seed)
    lines = [(Path(__file__).parent / "defaults.intro.md").read_text()]
    for title, grid, some, folders in (
        ("CIFAR-10, 15,000 images, list of 10 %, gamma 1, seed 0", GRID, specs, cifar),
        ("Digits, list of 25 %, gamma 1, mean of seeds 1 to 3", DIGITS_GRID, DIGITS, digits),
    ):
        found = sweep(grid, some, folders)
        reports = [next(folder.glob("*.audit.json")) for folder in folders.values()]
        models = [json.loads(report.read_text())["metrics"]["before"] for report in reports]
        before = {key: statistics.mean(m[key] for m in models) for key in cifar10.COLUMNS}
        lines += section(title, before, found)
    text = "\n".join(lines)
    (cifar10.ROOT / "docs" / "defaults.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
