"""The README's badges, made from the project's metadata: `python site/badges.py`.

They are files of the repository, so that no page asks another server for them.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "badges"
LETTER, EDGE = 6.6, 6
"""Width of a letter, and margin, in pixels."""


def badges() -> dict[str, str]:
    """Return the SVG of each badge by file name."""
    metadata = (ROOT / "pyproject.toml").read_text()
    versions = re.findall(r"Python :: 3\.(\d+)", metadata)
    licence = re.findall(r'^license = "(.+)"', metadata, re.MULTILINE)[0]
    release = re.findall(r'"(.+)"', (ROOT / "falw_cli" / "version.py").read_text())[-1]
    texts = {
        "version": release, "python": f"3.{versions[0]} to 3.{versions[-1]}", "license": licence,
    }  # fmt: skip
    return {f"{name}.svg": badge(name, text) for name, text in texts.items()}


def badge(name: str, text: str) -> str:
    """Return a badge: the name on grey, the text on blue."""
    left, right = (round(len(one) * LETTER + 2 * EDGE) for one in (name, text))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{name}: {text}"><rect width="{left + right}" height="20" rx="3" '
        f'fill="#005a96"/><path d="M3 0H{left}V20H3A3 3 0 0 1 0 17V3A3 3 0 0 1 3 0" '
        'fill="#4a505a"/><g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" '
        f'font-size="11" text-anchor="middle"><text x="{left / 2}" y="14" '
        f'textLength="{left - 2 * EDGE}">{name}</text><text x="{left + right / 2}" y="14" '
        f'textLength="{right - 2 * EDGE}">{text}</text></g></svg>\n'
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, svg in badges().items():
        (FOLDER / name).write_text(svg)
