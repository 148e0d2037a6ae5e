"""Fastest threads, memory format, batch size and compilation on a CPU: docs/cpu.md.

    python benchmarks/cpu.py [--rounds 5]

Images are noise of CIFAR-10's size, because only time is measured.
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
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from falw_cli.config.settings import Config
from falw_cli.models.architectures import builder
from falw_cli.runtime.engine import make_fabric

ARCHS = ("tiny-cnn", "resnet18-cifar")
BATCH = 128
SIZES = (64, 128, 256, 512, 1024)
PROCESSES = 2
Ways = dict[str, Callable[[], None]]
Tables = dict[str, dict[str, float]]


def network(arch: str, channels_last: bool) -> torch.nn.Module:
    """Return a network with the same random weights each time."""
    torch.manual_seed(0)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return builder(arch)(10, 3).to(memory_format=form)


def images(count: int, channels_last: bool) -> torch.Tensor:
    """Return noise images, [count, 3, 32, 32]."""
    form = torch.channels_last if channels_last else torch.contiguous_format
    return torch.randn(count, 3, 32, 32).to(memory_format=form)


def step(
    arch: str,
    threads: int,
    *,
    channels_last: bool = True,
    fused: bool = False,
    compiled: bool = False,
) -> Callable[[], None]:
    """Return a function that takes a training step on a batch of 128."""
    module = network(arch, channels_last).train()
    inputs, label = images(BATCH, channels_last), torch.arange(BATCH) % 10
    chosen = torch.optim.SGD(module.parameters(), 0.01, 0.9, weight_decay=5e-4, fused=fused)
    called = torch.compile(module) if compiled else module

    def take() -> None:
        torch.set_num_threads(threads)
        F.cross_entropy(called(inputs), label).backward()
        chosen.step()
        chosen.zero_grad(set_to_none=True)

    return take


def inference(arch: str, size: int) -> Callable[[], None]:
    """Return a function that computes logits of 1,024 images in batches of `size`."""
    module, inputs = network(arch, True).eval(), images(1024, True)

    @torch.no_grad()
    def take() -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        for part in inputs.split(size):
            module(part)

    return take


def medians(ways: Ways, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each variant, run alternately after a warm-up round."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(times) for name, times in taken.items()}


def measure(rounds: int) -> Tables:
    """Measure all tables in this process."""
    cores, tables = os.cpu_count() or 1, {}
    for arch in ARCHS:
        ways: Ways = {
            "falw's settings": step(arch, cores),
            "one thread": step(arch, 1),
            "without channels-last": step(arch, cores, channels_last=False),
            "fused optimizer": step(arch, cores, fused=True),
            "compiled": step(arch, cores, compiled=True),
        }
        began = time.perf_counter()
        ways["compiled"]()
        waited = time.perf_counter() - began
        tables[f"a training step of {BATCH} images, {arch}"] = medians(ways, rounds)
        tables[f"a training step of {BATCH} images, {arch}"]["(compiling)"] = 1e3 * waited
        sizes: Ways = {f"batches of {size}": inference(arch, size) for size in SIZES}
        tables[f"logits of 1,024 images, {arch}"] = medians(sizes, rounds)
    return tables


def in_process(keeps: bool, rounds: int) -> Tables:
    """Measure all tables in a separate process, with or without falw's keeping of freed memory."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--rounds", str(rounds), "--as", str(keeps)]
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    found: Tables = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, and write docs/cpu.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--as", dest="keeps", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.keeps:
        if asked.keeps == "True":
            make_fabric(Config(device="cpu"))
        print(json.dumps(measure(asked.rounds)))
        return
    kept, given = [], []
    for _ in range(PROCESSES):
        kept.append(in_process(True, asked.rounds))
        given.append(in_process(False, asked.rounds))
    text = f"""# What is fastest on a CPU?

Made by `python benchmarks/cpu.py` on {platform.machine()}, {os.cpu_count()} cores, torch
{torch.__version__}. Times are in milliseconds. Each process measures all variants of a table
alternately, {asked.rounds} times, and takes medians. The tables show the median over {PROCESSES}
processes for each memory setting. The processes of the two settings alternate.

By default, glibc returns large blocks of freed memory to the kernel, for example those of
activations. The kernel then clears their pages again at the next step. falw makes glibc keep this
memory. falw compiles a network only with `--compile`: no run on a CPU is long enough to make up for
the time that compiling takes.

**What to conclude:** use all cores and channels-last. Keeping freed memory saves most with the
larger network and with large batches. Compiling takes many seconds and makes a step hardly faster,
or not at all.
"""
    for title, found in kept[0].items():
        text += f"\n## {title[:1].upper()}{title[1:]}\n\n"
        text += "| variant | memory kept | memory returned |\n|---|---|---|\n"
        for way in found:
            both = [statistics.median(one[title][way] for one in kind) for kind in (kept, given)]
            text += f"| {way} | {both[0]:.0f} | {both[1]:.0f} |\n"
    (Path(__file__).parents[1] / "docs" / "cpu.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
