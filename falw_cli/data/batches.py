"""Samples -> batches on the device: uint8 that stays there, augmentation a sample at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from falw_cli.data.splits import Part


@dataclass(frozen=True)
class Resident:
    """A part on the device: pixels uint8 [N, S, S, channels], labels int64 [N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def resident(part: Part, device: torch.device) -> Resident:
    """Move a part to the device, where it stays as uint8."""
    # A cached array is mapped read-only, which torch warns of: nothing here writes to it.
    pixels = part.pixels if part.pixels.flags.writeable else np.array(part.pixels)
    return Resident(torch.from_numpy(pixels).to(device), torch.from_numpy(part.labels).to(device))


def join(first: Resident, second: Resident) -> Resident:
    """Two parts as one: the first part's samples come first."""
    return Resident(
        torch.cat([first.pixels, second.pixels]), torch.cat([first.labels, second.labels])
    )


@dataclass(frozen=True)
class Batch:
    """A batch whose first `forget` samples are of the forget set.

    `sample` holds the samples' positions in the joined set, int64 [n].
    """

    sample: Tensor
    pixels: Tensor
    labels: Tensor
    forget: int


@dataclass(frozen=True)
class Augmentation:
    """Random crop after padding by `crop` pixels, random horizontal flip."""

    crop: int
    flip: bool


def generator(seed: int, *stream: int) -> torch.Generator:
    """A generator that depends on the seed and the place in the run alone.

    No state is carried from step to step, so a resumed run draws what an undisturbed one draws.
    """
    state = np.random.SeedSequence([seed, *stream]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def batches_per_epoch(count: int, batch_size: int) -> int:
    """Batches of one epoch, as even in size as can be.

    A small last batch would ruin BatchNorm's statistics, and one sample alone stops it.
    """
    whole = -(-count // batch_size)
    return whole if batch_size == 1 else max(1, min(whole, count // 2))


def epoch(
    data: Resident, forget: int, batch_size: int, seed: int, number: int, skip: int = 0
) -> Iterator[Batch]:
    """Shuffled batches of one epoch, forget and retain merged.

    Args:
        data: the joined set, forget samples first.
        forget: how many of them are forget samples.
        batch_size: samples a batch at the most.
        seed, number: of the shuffling: the run's seed and the epoch's number.
        skip: batches to pass over, when a run is resumed.
    """
    order = torch.randperm(len(data), generator=generator(seed, 1, number))
    for rows in order.tensor_split(batches_per_epoch(len(data), batch_size))[skip:]:
        # Forget samples first: where they are is then known without asking the device.
        first = rows < forget
        merged = torch.cat([rows[first], rows[~first]]).to(data.labels.device)
        yield Batch(merged, data.pixels[merged], data.labels[merged], int(first.sum()))


def augment(pixels: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    """Crop and flip each image of a batch on its own: uint8 [n, S, S, channels] -> the same."""
    count, size = pixels.shape[:2]
    columns = torch.arange(size).expand(count, size)
    if how.flip:
        flipped = torch.rand(count, 1, generator=random) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    rows = torch.arange(size).expand(count, size)
    if how.crop:
        shift = torch.randint(0, 2 * how.crop + 1, (2, count, 1), generator=random)
        rows, columns = rows + shift[0], columns + shift[1]
        edge = (how.crop, how.crop)
        pixels = torch.nn.functional.pad(pixels, (0, 0, *edge, *edge))
    if not (how.crop or how.flip):
        return pixels
    device = pixels.device
    each = torch.arange(count, device=device)[:, None, None]
    return pixels[each, rows.to(device)[:, :, None], columns.to(device)[:, None, :]]


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 [n, S, S, channels] -> float [n, channels, S, S], channels-last in memory."""
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
