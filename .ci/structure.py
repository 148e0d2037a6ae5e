"""Counts of the code's structure, each with its target: loose modules, rooms, import cycles.

python .ci/structure.py
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import grimp

ROOT = "falw_cli"
LOOSE, ROOMS, LINES = 6, 12, 300
"""Most modules directly in the package, most rooms, and most lines of a module."""


def room(module: str) -> str:
    """The part of the package that a module belongs to."""
    return module.split(".")[1] if "." in module else module


def cycle(graph: grimp.ImportGraph) -> list[str]:
    """Modules that import each other, directly or through others; type-checking imports count."""
    ahead = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    while leaves := [one for one, needed in ahead.items() if not needed & ahead.keys()]:
        for one in leaves:
            del ahead[one]
    behind = {one: {other for other in ahead if one in ahead[other]} for one in ahead}
    while roots := [one for one, users in behind.items() if not users & behind.keys()]:
        for one in roots:
            del behind[one]
    return sorted(behind)


def mutual(graph: grimp.ImportGraph) -> list[str]:
    """Pairs of rooms that import each other."""
    pairs = {
        (room(one), room(other))
        for one in graph.modules
        for other in graph.find_modules_directly_imported_by(one)
    }
    rooms = sorted({room(one) for one in graph.modules})
    return [f"{a} and {b}" for a, b in combinations(rooms, 2) if {(a, b), (b, a)} <= pairs]


def main() -> int:
    """Print each count, and return 1 if any is above its target."""
    graph = grimp.build_graph(ROOT)
    folder = Path(__file__).parents[1] / ROOT
    loose = sorted(path.name for path in folder.glob("*.py"))
    rooms = sorted(path.name for path in folder.iterdir() if (path / "__init__.py").exists())
    long = [
        f"{path.relative_to(folder)} ({lines})"
        for path in sorted(folder.rglob("*.py"))
        if (lines := len(path.read_text().splitlines())) > LINES
    ]
    counts = [
        ("modules directly in the package", loose, LOOSE), ("rooms", rooms, ROOMS),
        ("modules in an import cycle", cycle(graph), 0),
        ("pairs of rooms that import each other", mutual(graph), 0),
        (f"modules of more than {LINES} lines", long, 0),
    ]  # fmt: skip
    for name, found, most in counts:
        bad = len(found) > most
        shown = f": {', '.join(found)}" if bad else ""
        sys.stdout.write(f"{name}: {len(found)}, at most {most}{shown}\n")
    return int(any(len(found) > most for _, found, most in counts))


if __name__ == "__main__":
    sys.exit(main())
