"""Two commands at once on one machine: how much does each slow the other?

    python benchmarks/side_by_side.py FOLDER [--rounds 3]

FOLDER is what `falw demo` leaves. `falw unlearn` is run alone, then twice at the same time, with
OpenMP's default wait policy and with that of falw (passive). The ratio of medians should be at most
2.2 on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("falw")
POLICIES = {"OpenMP's default": {"GOMP_SPINCOUNT": "300000"}, "passive": {}}
"""GNU OpenMP spins 300,000 times by default; the variable takes precedence over falw's policy."""


def seconds(folder: Path, number: int, policy: dict[str, str]) -> float:
    """Return the time until `number` commands that were started together have ended."""
    environment = os.environ | policy
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [COMMAND, "unlearn", "model.safetensors", "--forget", "forget.txt", "--out",
             f"beside-{index}.safetensors", "--force", "-q"],
            cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for index in range(number)
    ]  # fmt: skip
    for one in running:
        one.wait()
    return time.perf_counter() - began


def main() -> None:
    """Measure alternately, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(asked.rounds):
        for name, policy in POLICIES.items():
            for number in (1, 2):
                found.setdefault((name, number), []).append(seconds(asked.folder, number, policy))
    for name in POLICIES:
        alone, both = (statistics.median(found[name, number]) for number in (1, 2))
        sys.stdout.write(f"{name}: alone {alone:.1f} s, two {both:.1f} s, {both / alone:.2f} x\n")


if __name__ == "__main__":
    main()
