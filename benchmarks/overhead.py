"""What exact FaLW costs: its step against the plain step, taken alternately, on CIFAR-10.

    python benchmarks/overhead.py CIFAR_FOLDER WORK_FOLDER [--rounds 40]

Needs seed 1 of benchmarks/cifar10.py in WORK_FOLDER; writes docs/overhead.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice
from pathlib import Path

import cifar10
import torch

from falw_cli.config import Config
from falw_cli.data.batches import Batch, epoch, generator, join, resident
from falw_cli.inputs import Inputs, open_inputs
from falw_cli.network import Network
from falw_cli.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.registry import load_weighting


def timed_step(
    network: Network, objective: Unlearning, chosen: torch.optim.Optimizer, batch: Batch, step: int
) -> float:
    """Seconds of one whole step."""
    began = time.perf_counter()
    loss = objective.loss(network, batch, network.inputs(batch.pixels), step)
    loss.backward()
    chosen.step()
    chosen.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def measure(given: Inputs, rounds: int) -> dict[str, list[float]]:
    """Seconds of `rounds` steps with each weighting, one after the other in turn."""
    network, device = given.network, given.network.fabric.device
    forget, retain = resident(given.splits.forget, device), resident(given.splits.retain, device)
    guide, classes = resident(given.splits.heldout, device), len(network.classes)
    counts = torch.bincount(forget.labels, minlength=classes)
    objectives = {
        name: Unlearning(
            RandomLabel(forget.labels, classes, generator(0, 3)),
            load_weighting(name)(counts, classes, 0.15),
            guide,
            1,
        )
        for name in ("none", "falw")
    }
    chosen = optimizer(network.module, given.config.unlearn)
    network.module.train()
    batches = epoch(join(forget, retain), len(forget), given.config.unlearn.batch_size, 0, 0)
    seconds: dict[str, list[float]] = {name: [] for name in objectives}
    for step, batch in enumerate(islice(batches, rounds + 3)):
        for name, objective in objectives.items():
            taken = timed_step(network, objective, chosen, batch, step)
            if step >= 3:  # the first ones warm up
                seconds[name].append(taken)
    return seconds


def main() -> None:
    """Measure, and write docs/overhead.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    wanted = parser.parse_args()
    specs, folder = cifar10.subset(wanted.cifar), wanted.work / "seed1"
    files = {"model": str(folder / "model.safetensors"), "forget": str(folder / "ids.txt")}
    given = open_inputs(Config.model_validate({**files, **specs}), Silent())
    seconds = measure(given, wanted.rounds)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    peaks = {}
    for name in ("random-label x none", "random-label x falw"):
        method, weighting, lr, epochs = cifar10.SETTINGS[name]
        flags = ("--lr", str(lr), "--epochs", str(epochs))
        report = cifar10.unlearn(specs, folder, 1, method, weighting, *flags)
        peaks[weighting] = report["run"]["peak_memory_bytes"] / 2**20
    ratio = median["falw"] / median["none"]
    text = f"""# What exact FaLW costs

Made by `python benchmarks/overhead.py CIFAR_FOLDER WORK_FOLDER`: `random-label` on the CIFAR-10
subset of [results](results.md), `tiny-cnn`, batches of {given.config.unlearn.batch_size}, mu and
sigma re-estimated on {len(given.splits.heldout):,} held-out samples at every step; the steps of the
two weightings were taken alternately in one process, {wanted.rounds} of each, after three that warm
up. torch {torch.__version__}, {torch.get_num_threads()} threads, {given.network.fabric.device}.

| weighting | median step, ms | ratio | peak memory of the whole run, MiB |
|---|---|---|---|
| none | {median["none"] * 1e3:.1f} | 1 | {peaks["none"]:.0f} |
| falw, exact | {median["falw"] * 1e3:.1f} | {ratio:.1f} | {peaks["falw"]:.0f} |

`--target-every N` spends the held-out pass at every N-th step alone.
"""
    (cifar10.ROOT / "docs" / "overhead.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
