"""Kill the real command at random moments: outputs are complete, resumed runs give the same result.

    python -m tests.faults.kill [--kills 200] [--seed 0] [--jobs 2] [--out docs/kills.md]

Each chain runs `falw unlearn --force` on the digits over an existing output. It kills the run (-9)
at a random moment five times, resumes with --resume if a state was saved, and lets the run end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.at_once import command

SETTINGS = """\
arch: tiny-cnn
data: digits
heldout: digits
train: {epochs: 4}
save_every: 0.05
unlearn: {epochs: 20, stop: epochs}
"""
KILLS_A_CHAIN = 5
OUT, REPORT = "model.unlearned.safetensors", "model.unlearned.audit.json"


@dataclass
class Tally:
    """Counts of the outcomes."""

    kills: int = 0
    too_late: int = 0
    resumed: int = 0
    partial: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    ends: int = 0


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, or an empty string if the file does not exist."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def falw(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command with -q, on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(
        [str(command()), *arguments, "-q"], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(folder: Path, *arguments: str) -> float:
    """Run the command to its end, and return the seconds."""
    began = time.perf_counter()
    process = falw(folder, *arguments)
    _, told = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{arguments}: exit code {process.returncode}: {told.decode()}")
    return time.perf_counter() - began


def prepare(folder: Path) -> tuple[str, float]:
    """Make a model, a list and an older output; return the reference digest and a run's seconds."""
    (folder / "falw.yaml").write_text(SETTINGS)
    finish(folder, "train", "--seed", "1")
    listed = subprocess.run(
        [str(command()), "forget-list", "--ratio", "0.1"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "ids.txt").write_bytes(listed.stdout)
    seconds = finish(folder, "unlearn", "model.safetensors", "--forget", "ids.txt")
    reference = digest(folder / OUT)
    # The existing output is from another run: it may be replaced completely, or not at all.
    finish(folder, "unlearn", "model.safetensors", "--forget", "ids.txt", "--force", "--seed", "9")
    return reference, seconds


def check(folder: Path, old: tuple[str, str], reference: str, tally: Tally, where: str) -> None:
    """Check after a kill that the outputs are complete and belong together."""
    out, report = digest(folder / OUT), digest(folder / REPORT)
    if out not in (old[0], reference):
        (tally.lost if not out else tally.partial).append(f"{where}: checkpoint {out[:8]}")
    between = (folder / f".{OUT}.commit").exists()
    if not report:
        tally.lost.append(f"{where}: report")
        return
    named = json.loads((folder / REPORT).read_text())["output"]["sha256"]
    if named != out and not between:
        tally.partial.append(f"{where}: report of another checkpoint")


def chain(source: Path, reference: str, seconds: float, seed: int, kills: int) -> Tally:
    """Kill a run several times, then let it end."""
    tally, rng = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        shutil.copytree(source, folder)
        old = digest(folder / OUT), digest(folder / REPORT)
        asked = ["unlearn", "model.safetensors", "--forget", "ids.txt", "--force"]
        for number in range(kills):
            resume = ["--resume"] if (folder / f"{OUT}.state").exists() else []
            tally.resumed += bool(resume)
            process = falw(folder, *asked, *resume)
            try:
                _, told = process.communicate(timeout=rng.uniform(0.2, 1.05) * seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                tally.kills += 1
            else:
                tally.too_late += 1
                if process.returncode:
                    tally.other.append(f"chain {seed}, {number}: {told.decode().strip()}")
            check(folder, old, reference, tally, f"chain {seed}, kill {number}")
        resume = ["--resume"] if (folder / f"{OUT}.state").exists() else []
        finish(folder, *asked, *resume)
        tally.ends += digest(folder / OUT) == reference
        left = [file.name for file in folder.iterdir() if file.name.startswith(".")]
        tally.other += [f"chain {seed}: {name} is left" for name in left]
    return tally


def run(kills: int, seed: int, jobs: int, a_chain: int = KILLS_A_CHAIN) -> tuple[Tally, int]:
    """Run chains until `kills` is reached; return the tally and the number of chains."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name)
        reference, seconds = prepare(source)
        whole, chains = Tally(), 0
        with ThreadPoolExecutor(jobs) as pool:
            while whole.kills < kills:
                wanted = -(-(kills - whole.kills) // a_chain)
                seeds = range(seed + chains, seed + chains + min(wanted, 4 * jobs))
                chains += len(seeds)
                for one in pool.map(lambda s: chain(source, reference, seconds, s, a_chain), seeds):
                    for key, value in vars(one).items():
                        setattr(whole, key, getattr(whole, key) + value)
                print(f"{whole.kills} kills, {whole.ends} of {chains} ends", flush=True)
        return whole, chains


def main() -> None:
    """Run the chains, and print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    tally, chains = run(asked.kills, asked.seed, asked.jobs)
    lines = [
        "| kills (-9) | runs that ended before the kill | resumed from a saved state | partial "
        "outputs | lost outputs | chains with the bytes of the reference | other problems |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| {tally.kills} | {tally.too_late} | {tally.resumed} | {len(tally.partial)} | "
        f"{len(tally.lost)} | {tally.ends} of {chains} | {len(tally.other)} |",
    ]
    lines += ["", *(f"- {text}" for text in (*tally.partial, *tally.lost, *tally.other))]
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    if asked.out:
        head = f"""# Killed runs

Runs are killed at random moments and resumed, several times in a chain.
Made by `python -m tests.faults.kill --kills {asked.kills} --jobs {asked.jobs}`
on {os.cpu_count()} CPU cores; its docstring describes the test.

**What to conclude:** {tally.kills} kills left {len(tally.partial)} partial outputs and lost
{len(tally.lost)} outputs. {tally.ends} of {chains} chains ended with the same bytes as a run that
was never killed.

"""
        asked.out.write_text(head + text)


if __name__ == "__main__":
    main()
