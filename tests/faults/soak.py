"""Soak test: memory and open files do not grow over the steps of several hours.

    python -m tests.faults.soak [--hours 4] [--out docs/soak.md]

First, a short `falw unlearn` on images of CIFAR-10's size in batches of 128 measures the steps per
hour on this machine. Then the same architecture takes the steps of the given hours on the 8-pixel
digits in batches of 8, where each step is smaller and much faster.
The state is saved once per second. The resident memory and the open files of the process are
recorded twice per second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tests.faults.full import FALW
from tests.faults.kill import REPORT, finish

SMALL = """\
arch: tiny-cnn
data: digits
heldout: digits
train: {epochs: 3}
unlearn: {batch_size: 8, lr: 1e-5, stop: epochs}
save_every: 1
"""
LARGE = """\
arch: tiny-cnn
data: npz:data.npz
heldout: npz:unseen.npz
train: {epochs: 1, batch_size: 128}
unlearn: {batch_size: 128, epochs: 1, lr: 1e-5, stop: epochs}
"""


@dataclass
class Course:
    """Steps, time, memory and open files of a run."""

    steps: int
    seconds: float
    memory: list[int]
    """Bytes, over the run."""
    files: list[int]
    """Number of open file descriptors."""

    @property
    def growth(self) -> float:
        """Growth of the median memory from the second to the last tenth of the run, in percent."""
        tenth = max(1, len(self.memory) // 10)
        first, last = self.memory[tenth : 2 * tenth], self.memory[-tenth:]
        return 100 * (float(np.median(last)) / float(np.median(first)) - 1)

    @property
    def more_files(self) -> int:
        """Growth of the median count of open files from the second to the last tenth of the run."""
        tenth = max(1, len(self.files) // 10)
        first, last = self.files[tenth : 2 * tenth], self.files[-tenth:]
        return round(float(np.median(last)) - float(np.median(first)))


def unlearn(folder: Path, *flags: str) -> Course:
    """Run the command, and record its memory and open files."""
    out = folder / REPORT
    command = [str(FALW), "unlearn", "model.safetensors", "--forget", "ids.txt", "--force", "-q"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # small steps gain nothing from more
    process = subprocess.Popen(
        [*command, *flags], cwd=folder, stdout=subprocess.DEVNULL, env=environment
    )
    watched, memory, files = psutil.Process(process.pid), [], []
    state = folder / "model.unlearned.safetensors.state"
    while process.poll() is None:
        time.sleep(0.5)
        try:
            if state.exists():  # the steps have begun
                memory.append(watched.memory_info().rss)
                files.append(watched.num_fds())
        except psutil.Error:
            break
    if process.wait():
        raise RuntimeError(f"exit code {process.returncode}")
    ran = json.loads(out.read_text())["run"]
    return Course(ran["steps"], ran["seconds"], memory, files)


def listed(folder: Path) -> None:
    """Draw a forget list into ids.txt."""
    drawn = subprocess.run(
        [str(FALW), "forget-list", "--ratio", "0.1"], cwd=folder, check=True, capture_output=True
    )
    (folder / "ids.txt").write_bytes(drawn.stdout)


def steps_of(hours: float, folder: Path) -> int:
    """Return the number of steps on images of 32 pixels in the given hours."""
    draws = np.random.default_rng(0)
    for name, count in (("data", 6_000), ("unseen", 1_000)):
        images = draws.integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=np.arange(count) % 10)
    (folder / "falw.yaml").write_text(LARGE)
    finish(folder, "train")
    listed(folder)
    ran = unlearn(folder)
    return round(hours * 3600 * ran.steps / ran.seconds)


def soak(hours: float) -> Course:
    """Take the steps of the given hours on small images."""
    with tempfile.TemporaryDirectory() as large, tempfile.TemporaryDirectory() as small:
        os.environ["XDG_CACHE_HOME"] = str(Path(large) / "cache")
        steps = steps_of(hours, Path(large))
        folder = Path(small)
        (folder / "falw.yaml").write_text(SMALL)
        finish(folder, "train")
        listed(folder)
        one = unlearn(folder, "--epochs", "1").steps
        return unlearn(folder, "--epochs", str(-(-steps // one)))


def main() -> None:
    """Run the soak test, and print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    ran = soak(asked.hours)
    text = (
        "| hours | steps | time, s | memory, MiB | change, % | open files | change |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        f"| {asked.hours:g} | {ran.steps:,} | {ran.seconds:.0f} | "
        f"{np.median(ran.memory) / 2**20:.0f} | {ran.growth:+.2f} | {max(ran.files)} | "
        f"{ran.more_files:+d} |\n"
    )
    print(text)
    if asked.out:
        head = f"""# Long runs

One run takes as many steps as a usual run takes in several hours.
Made by `python -m tests.faults.soak`; its docstring describes the test.

**What to conclude:** over {ran.steps:,} steps, memory changed by {ran.growth:+.2f} %, and the
number of open files by {ran.more_files:+d}.

"""
        asked.out.write_text(head + text)


if __name__ == "__main__":
    main()
