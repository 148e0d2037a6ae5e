"""Batches on the device, shared among ranks; augmentation per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, tee

import numpy as np
import torch
from torch import Tensor

from falw_cli.config.settings import Recipe
from falw_cli.data.device import Samples, send


@dataclass(frozen=True)
class Share:
    """The share of rank `rank` of `ranks` in each batch."""

    rank: int = 0
    ranks: int = 1

    def of(self, count: int, forget: int) -> Tensor:
        """Return places in a batch of `count` samples, the first `forget` to forget: int64.

        Forget samples are distributed from the first rank on, the others from the last rank on, so
        that all ranks have equal work.
        """
        place = torch.arange(count)
        mine = place[:forget][self.rank :: self.ranks]
        return torch.cat([mine, place[forget:][self.ranks - 1 - self.rank :: self.ranks]])


@dataclass(frozen=True)
class Batch:
    """A rank's share of a batch; its first `forget` samples are from the forget set.

    `sample` holds the samples' positions in the joined set, int64 [n], in which the retain samples
    begin at `offset`; `place` holds their places in the batch of all ranks, which has `whole`
    samples, `whole_forget` of them from the forget set.
    """

    sample: Tensor
    pixels: Tensor
    labels: Tensor
    forget: int
    offset: int
    place: Tensor
    whole: int
    whole_forget: int
    part: tuple[int, int] = (0, 1)
    """Which part of a rank's share of a batch it is, counted from 0, and how many there are."""

    def parts(self, number: int) -> Iterator[tuple[Tensor, Batch]]:
        """Yield rows and batch of each of `number` parts, which share the forget samples."""
        place = torch.arange(len(self.place))
        if number == 1:
            yield place, self
            return
        forget = place[: self.forget].tensor_split(number)
        retain = place[self.forget :].tensor_split(number)
        for index, (first, others) in enumerate(zip(forget, reversed(retain), strict=True)):
            rows = torch.cat([first, others])
            there = send(rows, self.labels.device)
            yield rows, replace(
                self, sample=self.sample[there], pixels=self.pixels[there],
                labels=self.labels[there], forget=len(first), place=self.place[rows],
                part=(index, number),
            )  # fmt: skip


def generator(seed: int, *stream: int) -> torch.Generator:
    """Return a generator that depends only on the seed and the place in the run.

    No state is carried from step to step, so a resumed run draws the same numbers.
    """
    state = np.random.SeedSequence([seed, *stream]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def batches_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches of one epoch, which are as even in size as possible.

    A small last batch would distort BatchNorm's statistics; for a single sample, BatchNorm fails.
    """
    whole = -(-count // batch_size)
    return whole if batch_size == 1 else max(1, min(whole, count // 2))


@dataclass(frozen=True)
class Mix:
    """How forget and retain samples are mixed in batches.

    Attributes:
        batch_size: maximum number of samples per batch.
        forget_share: share of forget samples in each batch; an epoch is then one pass over the
            forget set, with as many retain samples as that needs. None: an epoch is one pass over
            both, shuffled together, as in the FaLW paper.
    """

    batch_size: int
    forget_share: float | None = None

    def batches(self, count: int, forget: int) -> int:
        """Return the batches per epoch of `count` samples, `forget` of them forget samples."""
        if self.forget_share is None or forget in (0, count):
            return batches_per_epoch(count, self.batch_size)
        return batches_per_epoch(forget, self._forget_rows)

    def smallest(self, count: int, forget: int) -> int:
        """Return the size of the smallest batch of an epoch."""
        parts = self.batches(count, forget)
        if self.forget_share is None or forget in (0, count):
            return count // parts
        return forget // parts + max(1, self.batch_size - self._forget_rows)

    @property
    def _forget_rows(self) -> int:
        return max(1, round(self.batch_size * (self.forget_share or 1)))

    def rows(self, count: int, forget: int, seed: int, number: int) -> Iterator[Tensor]:
        """Yield rows of each batch of epoch `number`, forget samples first: int64 [n] < `count`."""
        parts = self.batches(count, forget)
        if self.forget_share is None or forget in (0, count):
            order = torch.randperm(count, generator=generator(seed, 1, number))
            for rows in order.tensor_split(parts):
                first = rows < forget
                yield torch.cat([rows[first], rows[~first]])
            return
        order = torch.randperm(forget, generator=generator(seed, 1, number))
        others = max(1, self.batch_size - self._forget_rows)
        for index, rows in enumerate(order.tensor_split(parts)):
            begin = (number * parts + index) * others
            kept = _passage(count - forget, begin, others, seed)
            yield torch.cat([rows, forget + kept])


def _passage(count: int, begin: int, length: int, seed: int) -> Tensor:
    """Return `length` rows from `begin` on in endless shuffled passes over `count` rows."""
    rows = []
    while length:
        number, place = divmod(begin, count)
        order = torch.randperm(count, generator=generator(seed, 4, number))
        taken = order[place : place + length]
        rows.append(taken)
        begin, length = begin + len(taken), length - len(taken)
    return torch.cat(rows)


def epoch(
    data: Samples,
    forget: int,
    mix: Mix,
    seed: int,
    number: int,
    skip: int = 0,
    share: Share = Share(),
) -> Iterator[Batch]:
    """Yield the shuffled batches of one epoch.

    Args:
        data: the joined set, forget samples first.
        forget: how many of them are forget samples.
        mix: how forget and retain samples are mixed.
        seed, number: random seed of the run and number of the epoch.
        skip: batches to skip, when a run is resumed.
        share: this rank's share; the whole batches do not depend on the number of ranks.
    """
    wholes = islice(mix.rows(len(data), forget, seed, number), skip, None)
    # Counted on the CPU, so that nothing waits for the device.
    counted = ((rows, int((rows < forget).sum())) for rows in wholes)
    dealt, ahead = tee((rows, among, share.of(len(rows), among)) for rows, among in counted)
    read = data.read(rows[place] for rows, _, place in ahead)
    for (whole, among, place), pixels in zip(dealt, read, strict=True):
        here = send(whole[place], data.labels.device)
        first = int((place < among).sum())
        yield Batch(here, pixels, data.labels[here], first, forget, place, len(whole), among)


def augment(
    pixels: Tensor,
    recipe: Recipe,
    random: torch.Generator,
    place: Tensor | None = None,
    whole: int | None = None,
) -> Tensor:
    """Crop and flip each image of a batch separately: uint8 [n, S, S, channels] -> the same.

    Args:
        pixels: the images.
        recipe: `crop`, pixels of padding before a random crop; `flip`, random horizontal flips.
        random: draws for the whole batch, so that results do not depend on the number of ranks.
        place, whole: places of these images among the `whole` in the batch, int64 [n]; or all.
    """
    if not (recipe.crop or recipe.flip):
        return pixels
    count, size = pixels.shape[:2]
    whole = count if whole is None else whole
    place = torch.arange(whole) if place is None else place
    columns = torch.arange(size).expand(count, size)
    if recipe.flip:
        flipped = (torch.rand(whole, 1, generator=random) < 0.5)[place]
        columns = torch.where(flipped, columns.flip(1), columns)
    rows = torch.arange(size).expand(count, size)
    if recipe.crop:
        shift = torch.randint(0, 2 * recipe.crop + 1, (2, whole, 1), generator=random)[:, place]
        rows, columns = rows + shift[0], columns + shift[1]
        edge = (recipe.crop, recipe.crop)
        pixels = torch.nn.functional.pad(pixels, (0, 0, *edge, *edge))
    device = pixels.device
    each = torch.arange(count, device=device)[:, None, None]
    rows, columns = send(rows, device), send(columns, device)
    return pixels[each, rows[:, :, None], columns[:, None, :]]


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise uint8 [n, S, S, channels] -> float [n, channels, S, S], channels-last."""
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
