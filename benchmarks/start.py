"""Time of `falw --help`: the median of several starts, which should stay below 0.4 s.

python benchmarks/start.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("falw")


def main() -> None:
    """Measure, and print the median and the extremes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    seconds = []
    for _ in range(parser.parse_args().rounds):
        began = time.perf_counter()
        subprocess.run([COMMAND, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    shown = f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"
    sys.stdout.write(f"falw --help: {shown}\n")


if __name__ == "__main__":
    main()
