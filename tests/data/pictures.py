"""Generated images for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.io import write_png


def save_png(path: Path, size: int = 12, seed: int | None = None) -> None:
    """Save a random colour image, seeded by the path unless a seed is given."""
    seed = sum(map(ord, str(path))) if seed is None else seed
    draws = torch.Generator().manual_seed(seed)
    write_png(torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=draws), str(path))


def make_folder(root: Path, counts: dict[str, int], size: int = 12, seed: int = 0) -> None:
    """Make an image folder: root/CLASS/NUMBER.png."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            save_png(root / name / f"{number}.png", size, seed + 1000 * place + number)
