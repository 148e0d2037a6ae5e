"""The command vs. a textbook loop of the same unlearning, run alternately: docs/speed.md.

    python benchmarks/speed.py CIFAR_FOLDER [--rounds 5] [--arch tiny-cnn] [--each 600]

CIFAR_FOLDER holds CIFAR-10 as train/CLASS/ and test/CLASS/. A model is trained on `each` images of
each class, and a list of 10 % at gamma 1 is unlearned. Of the test images of each class, 100 guide
the unlearning and 400 are for evaluation. Times are those of whole processes, from the start to the
written files. On a GPU, use `--arch resnet18-cifar --each 5000`; the page is then written to
docs/speed-ARCH.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

HERE = Path(__file__).parent
FALW = Path(sys.executable).with_name("falw")
EPOCHS = 2
COMMON = ("--method", "random-label", "--epochs", str(EPOCHS), "--lr", "0.03", "--stop", "epochs")
PARTS = {"heldout": ("test", 0, 100), "test": ("test", 100, 500)}


def lay_out(source: Path, folder: Path, arch: str, each: int) -> None:
    """Copy the images of each part, write a falw.yaml, train a model and draw a list."""
    for part, (kind, begin, end) in {"train": ("train", 0, each), **PARTS}.items():
        for label in sorted((source / kind).iterdir()):
            there = folder / part / label.name
            there.mkdir(parents=True)
            for image in sorted(label.iterdir())[begin:end]:
                shutil.copy(image, there)
    (folder / "falw.yaml").write_text(
        f"arch: {arch}\n"
        "data: imagefolder:train\nheldout: imagefolder:heldout\n"
        "test: imagefolder:test\npreprocessing: {mean: [0.4914, 0.4822, 0.4465], "
        "std: [0.247, 0.2435, 0.2616]}\ntrain: {epochs: 16, lr: 0.1, flip: true}\n"
    )
    with (folder / "ids.txt").open("w") as stream:
        ask = [str(FALW), "forget-list", "--ratio", "0.1", "--gamma", "1", "-q"]
        subprocess.run(ask, cwd=folder, stdout=stream, check=True)


def commands(arch: str) -> dict[str, list[str]]:
    """Return the timed commands by name."""
    unlearn = [str(FALW), "unlearn", "model.safetensors", "--forget", "ids.txt", "--force", "-q"]
    textbook = [sys.executable, str(HERE / "textbook.py"), "model.safetensors", "ids.txt"]
    return {
        "textbook loop, exact FaLW": [
            *textbook, "train", "heldout", "test", "textbook.safetensors", "--epochs", str(EPOCHS),
            "--arch", arch,
        ],
        "falw, exact": [*unlearn, *COMMON, "--weighting", "falw", "--target", "exact"],
        "falw, streaming": [*unlearn, *COMMON, "--weighting", "falw"],
        "falw, none": [*unlearn, *COMMON, "--weighting", "none"],
        "falw, default": unlearn,
        "Retrain": [
            str(FALW), "train", "--without", "ids.txt", "--out", "retrain.safetensors", "--force",
            "-q",
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """Wall time of a command, and the resident memory of its largest process."""

    seconds: float
    mib: int


def take(command: list[str], folder: Path) -> Taken:
    """Run a command to its end, and return its time and memory."""
    began = time.perf_counter()
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(running.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return Taken(time.perf_counter() - began, usage.ru_maxrss >> 10)


def speedup(mine: list[Taken], base: list[Taken]) -> float:
    """Return the median ratio of the first command's time to this command's."""
    return statistics.median(b.seconds / m.seconds for b, m in zip(base, mine, strict=True))


def row(name: str, mine: list[Taken], base: list[Taken]) -> str:
    """Return a row of the table: median, range, ratio to the first command, memory."""
    times = [one.seconds for one in mine]
    return (
        f"| {name} | {statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f}) "
        f"| {speedup(mine, base):.1f} | {max(one.mib for one in mine):,} |"
    )


def main() -> None:
    """Measure, and write docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arch", default="tiny-cnn")
    parser.add_argument("--each", type=int, default=600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        lay_out(asked.cifar, folder, asked.arch, asked.each)
        training = take([str(FALW), "train", "-q"], folder).seconds
        wanted = commands(asked.arch)
        taken: dict[str, list[Taken]] = {what: [] for what in wanted}
        for _ in range(asked.rounds):
            for what, command in wanted.items():
                taken[what].append(take(command, folder))
                print(f"{what}: {taken[what][-1].seconds:.1f} s", flush=True)
        report = json.loads((folder / "model.unlearned.audit.json").read_text())
    base = taken["textbook loop, exact FaLW"]
    rows = "\n".join(row(what, times, base) for what, times in taken.items())
    steps, spent = report["run"]["steps"], report["run"]["seconds"]
    text = f"""# How long does the whole command take?

Made by `python benchmarks/speed.py CIFAR_FOLDER` on {platform.machine()}, {os.cpu_count()} cores,
torch {torch.__version__}, {report["environment"]["device"]}: {10 * asked.each:,} CIFAR-10 images,
`{asked.arch}`, a list of 10 % at gamma 1, 1,000 held-out images for guidance and 4,000 for
evaluation. The times are those of whole processes, from the start to the written files, with
evaluation. The commands were run alternately, {asked.rounds} times. The table shows the median,
smallest and largest time. The first four commands do the same unlearning: random labels for
{EPOCHS} epochs. The loop is `benchmarks/textbook.py`. After the first round, the images were in
the cache. Memory is the peak of the largest process of a command; the DataLoader of the loop has
worker processes in addition.

| command | seconds | times as fast as the loop | MiB |
|---|---|---|---|
{rows}

**What to conclude:** for the same unlearning with the exact target, `falw` is
{speedup(taken["falw, exact"], base):.1f} times as fast as the textbook loop. With the
streaming target, it is {speedup(taken["falw, streaming"], base):.1f} times as fast.

Training the network took {training:.1f} seconds. The {steps} steps of the default, with the
evaluations of early stopping, took {spent:.1f} seconds. The remaining time is for starting Python
and torch, reading, evaluating before and after, and writing.
"""
    own = "" if asked.arch == "tiny-cnn" else f"-{asked.arch}"
    (HERE.parent / "docs" / f"speed{own}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
