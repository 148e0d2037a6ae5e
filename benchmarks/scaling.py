"""Time of a run by the size of lists, held-out data and ranks: docs/scaling.md and its plot.

    python benchmarks/scaling.py CIFAR_FOLDER [--rounds 2]

CIFAR_FOLDER holds CIFAR-10 as train/CLASS/ and test/CLASS/. Uses `tiny-cnn`, the installed command
and the seconds in the report. Each round takes all runs one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from falw_cli.data.batches import Mix
from falw_cli.unlearning.early_stopping import affordable_evaluations
from falw_cli.unlearning.estimate import PER_STEP
from falw_cli.unlearning.interfaces import load_method
from falw_cli.unlearning.stop_estimate import FORGET_SAMPLES, RETAIN_SAMPLES

FALW = Path(sys.executable).with_name("falw")
DOCS = Path(__file__).parents[1] / "docs"
LISTS = (150, 300, 600, 1200, 2400)
HELDOUT = (200, 500, 1000, 2000, 5000)
TARGETS = {"none": ("--weighting", "none"), "streaming": (), "exact": ("--target", "exact")}
RANKS = (1, 2)
CONFIG = """
arch: tiny-cnn
data: imagefolder:{train}
heldout: imagefolder:{test}
test: imagefolder:{test}
per_class: {{data: [0, 600], heldout: [0, {each}], test: [800, 1000]}}
train: {{epochs: 2, lr: 0.1, flip: true}}
"""
STEPS = ("--method", "random-label", "--stop", "epochs", "--epochs", "1")


@dataclass(frozen=True)
class Run:
    """A run to time: its cell in a table, and the flags of the command."""

    table: str
    row: int
    column: str
    flags: tuple[str, ...]
    each: int = 100
    """Held-out images of each class."""


def runs() -> list[Run]:
    """Return all runs of a round."""
    found = [
        Run("list", count, "seconds", ("--forget", f"{count}.txt", "--max-utility-loss", "100"))
        for count in LISTS
    ]
    found += [
        Run("held-out", count, name, (*STEPS, "--forget", "600.txt", *flags), count // 10)
        for count in HELDOUT
        for name, flags in TARGETS.items()
    ]
    found += [
        Run("ranks", count, name, (*STEPS, "--forget", "600.txt", *flags, "--devices", str(count)))
        for count in RANKS
        for name, flags in TARGETS.items()
    ]
    return found


def take(run: Run, folder: Path, config: str) -> float:
    """Return the seconds of a run, or the milliseconds per step."""
    (folder / "falw.yaml").write_text(config.replace("{each}", str(run.each)))
    command = [str(FALW), "unlearn", "model.safetensors", "--force", "-q", *run.flags]
    one = {"OMP_NUM_THREADS": "1"} if run.table == "ranks" else {}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=os.environ | one)
    done = json.loads((folder / "model.unlearned.audit.json").read_text())["run"]
    seconds: float = done["seconds"]
    return seconds if run.table == "list" else 1e3 * seconds / done["steps"]


def tables(taken: dict[Run, list[float]]) -> dict[str, dict[int, dict[str, float]]]:
    """Return the medians as table -> row -> column."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run, times in taken.items():
        row = found.setdefault(run.table, {}).setdefault(run.row, {})
        row[run.column] = statistics.median(times)
    return found


def predicted(count: int, sample: float) -> float:
    """Predict the seconds of the default on a list with the cost model of docs/scale.md.

    Args: sample, the seconds of a forward and backward pass of one image.
    """
    recipe = load_method("match").defaults
    share, batch = recipe["forget_share"], 128
    steps = recipe["epochs"] * Mix(batch, share).batches(6000, count)
    unseen = PER_STEP * batch / 3
    samples = min(count, FORGET_SAMPLES) + 1000 + RETAIN_SAMPLES
    evaluating = affordable_evaluations(samples, steps, batch) * samples / 3
    # Count forget samples, not batches, because the last batches of an epoch are smaller.
    seen = recipe["epochs"] * count + steps * (batch - round(batch * share))
    return float(sample * (seen + steps * unseen + evaluating))


def markdown(found: dict[int, dict[str, float]], first: str, digits: int) -> str:
    """Return a Markdown table."""
    columns = list(next(iter(found.values())))
    lines = [f"| {first} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row, values in found.items():
        cells = " | ".join(f"{values[c]:.{digits}f}" for c in columns)
        lines.append(f"| {row:,} | {cells} |")
    return "\n".join(lines)


def draw(found: dict[str, dict[int, dict[str, float]]]) -> None:
    """Write docs/plots/scaling.svg."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "falw"
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    lists = found["list"]
    left.plot(list(lists), [row["seconds"] for row in lists.values()], "o-")
    left.set(xlabel="images to forget", ylabel="seconds of the run", title="the default", ylim=0)
    for name in TARGETS:
        held = found["held-out"]
        right.plot(list(held), [row[name] for row in held.values()], "o-", label=name)
    right.set(xlabel="held-out images", ylabel="ms a step", title="random labels", ylim=0)
    right.legend(title="weighting, target")
    figure.savefig(DOCS / "plots" / "scaling.svg", metadata={"Date": None})


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    cifar = asked.cifar.resolve()
    config = CONFIG.replace("{train}", str(cifar / "train")).replace("{test}", str(cifar / "test"))
    config = config.replace("{{", "{").replace("}}", "}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        (folder / "falw.yaml").write_text(config.replace("{each}", "100"))
        subprocess.run([FALW, "train", "-q"], cwd=folder, check=True, capture_output=True)
        for count in LISTS:
            ask = [FALW, "forget-list", "--count", str(count), "-q"]
            drawn = subprocess.run(ask, cwd=folder, check=True, capture_output=True, text=True)
            (folder / f"{count}.txt").write_text(drawn.stdout)
        taken: dict[Run, list[float]] = {run: [] for run in runs()}
        for _ in range(asked.rounds):
            for run, times in taken.items():
                times.append(take(run, folder, config))
                print(run.table, run.row, run.column, f"{times[-1]:.1f}", flush=True)
    found = tables(taken)
    sample = found["held-out"][1000]["none"] / 1e3 / 128
    for count, row in found["list"].items():
        row["cost model"] = predicted(count, sample)
    text = f"""# How does the time of a run grow?

Made by `python benchmarks/scaling.py CIFAR_FOLDER` on {platform.machine()}, {os.cpu_count()} cores,
torch {torch.__version__}, CPU: 6,000 CIFAR-10 images, `tiny-cnn`, batches of 128. Medians of
{asked.rounds} rounds. [Scale](scale.md) shows how the time grows with the training set.

**What to conclude:** the time grows with the forget list as the cost model predicts. Held-out
samples cost little with a streaming target. With an exact target, the extra time per step grows in
proportion to their number.

![seconds by list, step by held-out data](plots/scaling.svg)

## With the list

Seconds of a run of the default (`match` x `falw`, 16 passes, 1,000 held-out images). The last
column is what the [cost model](scale.md) predicts from the plain step below: {1e3 * sample:.2f} ms
per image.

{markdown(found["list"], "images to forget", 1)}

## With held-out data

Random labels: milliseconds per step over one epoch of 47 steps, by weighting and target. With a
streaming target, this includes an evaluation of all held-out images before the first step.

{markdown(found["held-out"], "held-out images", 1)}

## With ranks

Milliseconds per step, with one Gloo process per rank and one thread per process, on one machine:

{markdown(found["ranks"], "ranks", 1)}

Ranks on a CPU communicate through the memory in which they also compute. BatchNorm over several
ranks is written in plain tensor code, because torch has none for CPUs. The table shows that ranks
work, not what GPUs gain.
"""
    (DOCS / "scaling.md").write_text(text)
    draw(found)
    print(text)


if __name__ == "__main__":
    main()
