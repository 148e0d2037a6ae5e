"""Break the real command at every call that writes, one call per run.

    python -m tests.faults.points [--every 1] [--jobs 2] [--out docs/points.md]

`falw unlearn --force` runs over an existing output. First, its calls that change the folder are
counted. Then each call fails with ENOSPC in one run, and another run is killed (-9) at it. A failed
run must not change the existing files. After a killed run, the ledger must have a line for the
run exactly if its outputs are there, and the next run must give the bytes of the reference.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.at_once import command
from tests.faults.kill import OUT, REPORT, digest, finish

PRELOAD = Path(__file__).with_name("preload")
SETTINGS = """\
arch: tiny-cnn
data: digits
heldout: digits
train: {epochs: 3}
save_every: 0.000001
unlearn: {epochs: 3, stop: epochs}
"""
LEDGER = "ledger.jsonl"
ASKED = (
    "unlearn", "model.safetensors", "--forget", "ids.txt", "--force", "--ledger", LEDGER,
    "--no-forgotten-gate",
)  # fmt: skip
REMOVES = "unlink"
"""A call that may fail without damaging the output."""


@dataclass
class Tally:
    """Counts of the outcomes."""

    points: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def broken(folder: Path, at: int, what: str) -> subprocess.CompletedProcess[str]:
    """Run the command and break it at call number `at`."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder.parent / "cache"),
        "PYTHONPATH": os.pathsep.join([str(PRELOAD), os.environ.get("PYTHONPATH", "")]),
        "FAULTS_WATCH": str(folder.resolve()), "FAULTS_AT": str(at), "FAULTS_ERRNO": what,
        "FAULTS_CALLS": str(folder.parent / "calls"),
    }  # fmt: skip
    return subprocess.run(
        [str(command()), *ASKED, "-q"], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def prepare(folder: Path) -> str:
    """Make a model, a list and the output of another run; return the reference digest."""
    (folder / "falw.yaml").write_text(SETTINGS)
    finish(folder, "train", "--seed", "1")
    listed = subprocess.run(
        [str(command()), "forget-list", "--ratio", "0.1"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "ids.txt").write_bytes(listed.stdout)
    finish(folder, *ASKED)
    reference = digest(folder / OUT)
    finish(folder, *ASKED, "--seed", "9")
    return reference


def left(folder: Path) -> list[str]:
    """Return the hidden files in the folder of a run."""
    return [file.name for file in folder.iterdir() if file.name.startswith(".")]


def digests(folder: Path) -> tuple[str, ...]:
    """Return the digests of checkpoint, report and ledger."""
    return tuple(digest(folder / name) for name in (OUT, REPORT, LEDGER))


def recovered(folder: Path, reference: str) -> list[str]:
    """Open the ledger after a kill, and return the problems with it."""
    finish(folder, "verify", "--ledger", LEDGER)
    lines = (folder / LEDGER).read_text().count("\n")
    expected = 3 if digest(folder / OUT) == reference else 2  # two runs were recorded before
    named = json.loads((folder / REPORT).read_text())["output"]["sha256"]
    wrong = [] if lines == expected else [f"the ledger has {lines} lines, not {expected}"]
    return wrong + (["a report of another output"] if named != digest(folder / OUT) else [])


def judge(folder: Path, before: tuple[str, ...], call: str, what: str, reference: str) -> list[str]:
    """Break at the given call, and return the problems with the result."""
    done = broken(folder, int(call.partition(" ")[0]), what)
    after = digests(folder)
    said = done.stderr.strip().splitlines()
    told = [line for line in said if not line.startswith("warning:")]
    wrong = []
    if what == "kill":
        if after != before and not (folder / f".{OUT}.commit").exists() and after[0] != reference:
            wrong.append("a partial output")
        wrong += recovered(folder, reference)
        state = ["--resume"] if (folder / f"{OUT}.state").exists() else []
        finish(folder, *ASKED, *state)
        if digest(folder / OUT) != reference or left(folder):
            wrong.append(f"the next run ends differently, remaining files: {left(folder)}")
    elif done.returncode == 0 and REMOVES in call:
        if after[0] != reference:
            wrong.append("exit code 0, but not the reference output")
    elif done.returncode != 3 or after != before:
        wrong.append(f"exit code {done.returncode}, outputs {'as before' * (after == before)}")
    elif len(told) != 2 or not told[0].startswith("error:") or "bug in falw" in told[1]:
        wrong.append(f"unexpected message: {told}")
    return [f"{what} at {call}: {text}" for text in wrong]


def run(every: int, jobs: int) -> Tally:
    """Break at every `every`-th call."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "run"
        source.mkdir()
        reference = prepare(source)
        before = digests(source)
        counted = copied(source, Path(name), "counted")
        broken(counted, -1, "")
        calls = [line.split()[1] for line in (counted.parent / "calls").read_text().splitlines()]
        tally.points = len(calls)
        numbered = [f"{number} {call}" for number, call in enumerate(calls, 1)][::every]

        def attempt(given: tuple[str, str]) -> list[str]:
            call, what = given
            folder = copied(source, Path(name), f"{call.replace(' ', '-')}-{what}")
            try:
                return judge(folder, before, call, what, reference)
            finally:
                shutil.rmtree(folder.parent)

        asked = [(call, what) for call in numbered for what in ("ENOSPC", "kill")]
        with ThreadPoolExecutor(jobs) as pool:
            for (_, what), wrong in zip(asked, pool.map(attempt, asked), strict=True):
                tally.tried[what] += 1
                tally.wrong += wrong
    return tally


def copied(source: Path, into: Path, name: str) -> Path:
    """Make a separate copy of the folder for one run."""
    folder = into / name / "run"
    shutil.copytree(source, folder)
    return folder


def main() -> None:
    """Run all breaks, and print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    tally = run(asked.every, asked.jobs)
    text = (
        "| calls that write | failed with ENOSPC | killed | problems |\n"
        "| ---: | ---: | ---: | ---: |\n"
        f"| {tally.points} | {tally.tried['ENOSPC']} | {tally.tried['kill']} | "
        f"{len(tally.wrong)} |\n"
    ) + "".join(f"\n- {one}" for one in tally.wrong)
    print(text)
    if asked.out:
        head = f"""# A failure at each call that writes

Each run is broken at one of its calls that write: the call fails, or the run is killed.
Made by `python -m tests.faults.points`; its docstring describes the test.

**What to conclude:** {sum(tally.tried.values())} broken runs caused {len(tally.wrong)} problems.
A problem is a changed file after a failed call, a partial output, a wrong ledger, or a next run
with another result.

"""
        asked.out.write_text(head + text)


if __name__ == "__main__":
    main()
