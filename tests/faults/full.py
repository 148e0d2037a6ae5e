"""Fill a small disk while the real command runs: existing files must survive.

    python -m tests.faults.full [--out docs/full.md]

A tmpfs in a separate mount namespace holds a project with an output and a given free space.
`falw unlearn --force` runs there with more free space each time, until it fits. Needs Linux and
permission to mount (root, or user namespaces).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.kill import OUT, REPORT, digest
from tests.faults.points import ASKED, prepare

ROOM = (0, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""KiB of free space beside the project."""
FALW = Path(sys.executable).with_name("falw")
MOUNT = ("unshare", "--map-root-user", "--mount")


@dataclass
class Tally:
    """Counts of the outcomes."""

    refused: int = 0
    done: int = 0
    wrong: list[str] = field(default_factory=list)


def possible() -> bool:
    """Return whether this user may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as folder:
        mount = [*MOUNT, "mount", "-t", "tmpfs", "none", folder]
        try:
            return subprocess.run(mount, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False


def attempt(source: Path, small: Path, room: int) -> subprocess.CompletedProcess[str]:
    """Run on the small disk, and copy its final content to the folder `{small}.after`."""
    held = sum(-(-file.stat().st_size // 4096) * 4 for file in source.iterdir())
    script = (
        f"mount -t tmpfs -o size={held + room}k none {small} && cp -a {source}/. {small} && "
        f"cd {small} && {FALW} {' '.join(ASKED)} -q; code=$?; cp -a {small}/. {small}.after; "
        "exit $code"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": f"{small}/cache"}
    return subprocess.run(
        [*MOUNT, "sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )


def run(rooms: tuple[int, ...] = ROOM) -> Tally:
    """Run once for each amount of free space."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "run"
        source.mkdir()
        reference = prepare(source)
        before = digest(source / OUT), digest(source / REPORT)
        for room in rooms:
            small = Path(name) / f"disk{room}"
            after = Path(f"{small}.after")
            small.mkdir()
            after.mkdir()
            done = attempt(source, small, room)
            found = digest(after / OUT), digest(after / REPORT)
            told = done.stderr.strip().splitlines()
            left = [file.name for file in after.iterdir() if file.name.startswith(".")]
            if done.returncode == 0 and found[0] == reference and not left:
                tally.done += 1
            elif done.returncode == 3 and found == before and len(told) == 2 and not left:
                tally.refused += 1
            else:
                tally.wrong.append(
                    f"{room} KiB: exit code {done.returncode}, {told}, remaining: {left}"
                )
    return tally


def main() -> None:
    """Run all sizes, and print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    tally = run()
    text = (
        "| amounts of free space | failed, files unchanged | succeeded | wrong |\n"
        "| ---: | ---: | ---: | ---: |\n"
        f"| {len(ROOM)} | {tally.refused} | {tally.done} | {len(tally.wrong)} |\n"
    ) + "".join(f"\n- {one}" for one in tally.wrong)
    print(text)
    if asked.out:
        head = f"""# A full disk

`falw unlearn --force` runs over an existing output on a small disk, each time with more free space.
Made by `python -m tests.faults.full`; its docstring describes the test.

**What to conclude:** {tally.refused} of {len(ROOM)} runs failed for lack of space, with exit code 3
and all files unchanged. {tally.done} had enough space. {len(tally.wrong)} did anything else.

"""
        asked.out.write_text(head + text)


if __name__ == "__main__":
    main()
