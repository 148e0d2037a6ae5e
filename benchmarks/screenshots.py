"""The README's pictures: docs/demo.svg and docs/report.png, from the files of `falw demo`.

    falw demo && python -m benchmarks.screenshots falw-demo

The second picture needs Chromium. The variable CHROMIUM sets its path.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SIZE, SHOWN, COLOURS = (1280, 2000), (1280, 1500), 64
"""Window, and the part of it that is kept, in pixels; colours of the file."""


def screenshot(page: Path, picture: Path) -> None:
    """Write the top of a page, as a light window shows it."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.png")
        subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--user-data-dir={folder}/profile", f"--window-size={SIZE[0]},{SIZE[1]}",
             f"--screenshot={whole}", page.resolve().as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
        top = Image.open(whole).convert("RGB").crop((0, 0, *SHOWN))
        top.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    shutil.copy(folder / "table.svg", DOCS / "demo.svg")
    screenshot(folder / "model.match.audit.html", DOCS / "report.png")


if __name__ == "__main__":
    main()
