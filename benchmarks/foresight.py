"""Accuracy of dry runs and remaining times: docs/foresight.md.

    python benchmarks/foresight.py CIFAR_FOLDER

CIFAR_FOLDER holds CIFAR-10 as train/CLASS/ and test/CLASS/. A model is trained on 600 images of
each class, and a list of 10 % at gamma 1 is unlearned with several settings. For each setting, a
dry run predicts the seconds. Then the run follows, and after a tenth of its steps the remaining
time is computed as the progress bar does: the mean time per step, times the remaining steps.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from speed import FALW, lay_out

from falw_cli import unlearn
from falw_cli.runtime.progress import Silent

WAYS: dict[str, dict[str, Any]] = {
    "the default": {},
    "match, --stop epochs": {"stop": "epochs"},
    "match, exact target": {"target": "exact"},
    "match, --lr auto": {"lr": "auto"},
    "random-label x falw, 10 epochs": {"method": "random-label", "epochs": 10},
    "scrub, 5 epochs": {"method": "scrub", "epochs": 5, "stop": "epochs"},
    "falw-paper, 3 epochs": {"method": "falw-paper", "epochs": 3},
    "finetune, 4 epochs": {"method": "finetune", "epochs": 4},
}

SECONDS = "seconds, estimated | measured | error | remaining, shown | measured | error"
MEMORY = "MiB, estimated | measured |"


class Clock(Silent):
    """A progress that records the time of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[tuple[str, int, list[float]]] = []

    def start(self, label: str, total: int) -> None:
        """Start a progress bar."""
        self.stages.append((label, total, [time.perf_counter()]))

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Record completed steps."""
        if steps:
            self.stages[-1][2].append(time.perf_counter())

    def steps(self) -> tuple[int, list[float]]:
        """Return the number of steps and their times in the last stage of a method."""
        return next((n, t) for label, n, t in reversed(self.stages) if " x " in label)


def row(name: str, asked: dict[str, Any]) -> str:
    """Measure one setting, and return its row of the table."""
    ask = {"model": "model.safetensors", "forget": "ids.txt", "force": True, **asked}
    foreseen = unlearn(**ask, dry_run=True).run
    clock = Clock()
    found = unlearn(**ask, progress=clock).run
    assert foreseen is not None
    assert found is not None
    total, times = clock.steps()
    tenth = max(1, total // 10)
    spent, whole = times[tenth] - times[0], times[-1] - times[0]
    shown, left = spent / tenth * (total - tenth), whole - spent
    ended = "" if len(times) > total else f", ended early after {len(times) - 1}"
    return (
        f"| {name} | {total}{ended} | {foreseen.seconds:.1f} | {found.seconds:.1f} "
        f"| {100 * (foreseen.seconds / found.seconds - 1):+.0f} % | {shown:.1f} | {left:.1f} "
        f"| {100 * (shown / left - 1):+.0f} % | {foreseen.peak_memory_bytes / 2**20:,.0f} "
        f"| {found.peak_memory_bytes / 2**20:,.0f} |"
    )


def main() -> None:
    """Measure all settings, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    source = parser.parse_args().cifar.resolve()
    page = Path(__file__).parents[1] / "docs" / "foresight.md"
    with tempfile.TemporaryDirectory() as place:
        lay_out(source, Path(place), "tiny-cnn", 600)
        os.chdir(place)
        subprocess.run([str(FALW), "train", "-q"], check=True, stdout=subprocess.DEVNULL)
        unlearn("model.safetensors", forget="ids.txt", epochs=1, stop="epochs")  # fills the cache
        lines = [row(name, asked) for name, asked in WAYS.items()]
    page.write_text(
        f"""# How accurate are dry runs and remaining times?

Made by `python benchmarks/foresight.py CIFAR_FOLDER` on {platform.machine()},
{os.cpu_count()} cores, torch {torch.__version__}, CPU: 6,000 CIFAR-10 images, `tiny-cnn`, a list of
600. Each row is one run. The runs were made one after another.

A dry run takes one step, then three, then ten on a copy of the network. If a step takes two seconds
or more, it takes only the first. If the run has evaluations, it also makes one evaluation. Its
estimate is `run.seconds` in the report. The progress bar computes the remaining time as the mean
time per step so far, times the remaining steps. The table shows its value after a tenth of the
steps. With `--stop auto`, a run may end early, in its last quarter. Neither estimate foresees that.

**What to conclude:** the estimates are good enough for planning. The largest errors are those of a
run that ended early. The estimate of memory can be too low.

| run | steps | {SECONDS} | {MEMORY}
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}
"""
    )
    sys.stdout.write(page.read_text())


if __name__ == "__main__":
    main()
