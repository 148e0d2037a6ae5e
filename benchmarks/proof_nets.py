"""Train the small CIFAR-10 networks with which benchmarks/proof.py validates audits.

    python benchmarks/proof_nets.py CIFAR WORK_FOLDER

CIFAR is a folder with train/ and test/ as images. 6,000 training images, a list of 10 % at gamma 1,
seven retrained models, and, for three seeds, models trained with all, three quarters, half, or a
quarter of the list. Existing networks are not trained again.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from falw_cli.config.resolution import resolve
from falw_cli.data import forget_list, loading
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.run import train

PER_CLASS = 600
RETRAINS = 7
SEEDS = (1, 2, 3)
KEPT_OUT = (0, 25, 50, 75)
"""Percent of the list that a network was trained without; 100 is a retrained model."""
RECIPE: dict[str, Any] = {"epochs": 30, "lr": 0.1, "flip": True}


def source(cifar: Path) -> dict[str, Any]:
    """Return the settings that all networks share."""
    return {
        "data": f"imagefolder:{cifar}/train", "heldout": f"imagefolder:{cifar}/test",
        "arch": "tiny-cnn", "per_class": {"data": [0, PER_CLASS]}, "train": RECIPE,
    }  # fmt: skip


def draw(cifar: Path, folder: Path) -> None:
    """Write the list and its excluded parts, which are prefixes of one shuffled order."""
    listing = loading.open_source(resolve("forget-list", source(cifar)), "data")
    available = np.bincount(listing.labels)
    sizes = forget_list.tail_sizes(available, len(listing.ids) // 10, 1.0, 0)
    rows = np.array(forget_list.draw(listing.labels, sizes, 0))
    (folder / "list.txt").write_text("".join(f"{listing.ids[row]}\n" for row in rows))
    mixed = np.random.default_rng(0).permutation(rows)
    for percent in KEPT_OUT[1:]:
        some = mixed[: len(rows) * percent // 100]
        text = "".join(f"{listing.ids[row]}\n" for row in some)
        (folder / f"list-{percent}.txt").write_text(text)


def make(job: tuple[Path, Path, str, str | None, int]) -> str:
    """Train one network, unless it exists."""
    cifar, folder, name, without, seed = job
    out = folder / f"{name}.safetensors"
    if not out.exists():
        torch.set_num_threads(1)
        flags = {**source(cifar), "out": str(out), "seed": seed}
        if without:
            flags["without"] = str(folder / without)
        done = train(resolve("train", flags), Silent(), Interrupt())
        print(f"{name}: retain {done.retain_accuracy:.2f} %, {done.seconds:.0f} s", flush=True)
    return name


def main() -> None:
    """Train all missing networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    draw(asked.cifar, asked.folder)
    jobs = [
        (asked.cifar, asked.folder, f"retrain-{seed}", "list.txt", seed)
        for seed in range(1, RETRAINS + 1)
    ]
    for seed in SEEDS:
        for percent in KEPT_OUT:
            without = f"list-{percent}.txt" if percent else None
            jobs.append((asked.cifar, asked.folder, f"out-{percent}-{seed}", without, seed))
    with ProcessPoolExecutor(asked.jobs) as pool:
        for _ in pool.map(make, jobs):
            pass


if __name__ == "__main__":
    main()
