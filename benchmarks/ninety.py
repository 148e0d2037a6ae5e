"""The paper's setting at small scale, from the bench of ninety.yaml: docs/ninety.md.

    falw bench ninety.yaml --out WORK_FOLDER   (a copy in the folder of the four classes)
    python -m benchmarks.ninety WORK_FOLDER

The page is an introduction, the bench's results.md, and one more number: how many runs `--stop
auto` ended within 1.5 times the best evaluation, or within a noise floor of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.stopping import GUARD, read

INTRO = Path(__file__).with_name("ninety.intro.md")
PAGE = Path(__file__).parents[1] / "docs" / "ninety.md"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    runs = [run for run in read(work) if run.entry == "match, traced"]
    apart = sum(run.tells_apart(GUARD) for run in runs)
    intro = INTRO.read_text().replace("STOPPED", f"{len(runs) - apart} of {len(runs)}")
    results = (work / "results.md").read_text().partition("\n\n")[2]
    PAGE.write_text(f"{intro.rstrip()}\n\n{results}")


if __name__ == "__main__":
    main()
