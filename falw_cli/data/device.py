"""Samples for the device: resident on it if they fit, else streamed to it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from falw_cli.data.splits import Part
from falw_cli.errors import ReaderError

FITS = 0.5
"""Maximum share of the free memory for samples; activations need the rest."""
WORKERS = 4
"""Maximum number of processes that read ahead; at most one per core."""
AHEAD = 4
"""Batches that each worker reads ahead."""
FORKS = sys.platform == "linux"
"""Whether workers are forked and share the map. Elsewhere each would receive a copy of it, or the
fork would be unsafe: this process reads the batches itself."""
FEW = 4
"""Maximum number of row groups that are read without workers, which start slowly."""


class Samples(Protocol):
    """N samples of a part: their labels on the device, their pixels on demand."""

    @property
    def labels(self) -> Tensor:
        """Class of each sample, int64 [N], on the device."""

    def __len__(self) -> int:
        """Return N."""

    def read(self, groups: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the pixels of each group of rows, uint8 [n, S, S, channels] on the device."""

    def of(self, rows: Tensor | slice) -> Samples:
        """Return some of the samples, stored in the same way."""


@dataclass(frozen=True)
class Resident:
    """A part on the device: pixels uint8 [N, S, S, channels], labels int64 [N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, groups: Iterable[Tensor]) -> Iterator[Tensor]:
        """See `Samples`."""
        for rows in groups:
            yield self.pixels[send(rows, self.pixels.device)]

    def of(self, rows: Tensor | slice) -> Resident:
        """See `Samples`; a slice is a view."""
        if isinstance(rows, Tensor):
            rows = send(rows, self.pixels.device)
        return Resident(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Streamed:
    """A part too large for the device: read batch by batch, ahead of time, by workers.

    Attributes:
        pixels: pixels of the whole source, mapped from the cache, uint8 [M, S, S, channels].
        rows: rows of these samples in `pixels`, int64 [N].
        labels: class of each sample, int64 [N], on the device.
    """

    pixels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, groups: Iterable[Tensor]) -> Iterator[Tensor]:
        """See `Samples`."""
        device = self.labels.device
        wanted = (self.rows[rows.cpu().numpy()] for rows in groups)
        if isinstance(groups, Sequence) and len(groups) <= FEW:
            for rows in wanted:
                yield torch.from_numpy(self.pixels[rows]).to(device)
            return
        loader: DataLoader[Tensor] = DataLoader(
            _Rows(self.pixels),
            batch_sampler=wanted,
            collate_fn=torch.from_numpy,
            num_workers=min(WORKERS, os.cpu_count() or 1) if FORKS else 0,
            prefetch_factor=AHEAD if FORKS else None,
            pin_memory=device.type == "cuda",
            multiprocessing_context="fork" if FORKS else None,
        )
        try:
            for pixels in _started(loader):
                yield pixels.to(device, non_blocking=True)
        except (OSError, EOFError) as error:  # a worker was killed
            raise ReaderError from error

    def of(self, rows: Tensor | slice) -> Streamed:
        """See `Samples`."""
        if isinstance(rows, Tensor):
            labels = self.labels[send(rows, self.labels.device)]
            return Streamed(self.pixels, self.rows[rows.cpu().numpy()], labels)
        return Streamed(self.pixels, self.rows[rows], self.labels[rows])


def _started(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    """Return a loader's iterator, and remove the signal handler that torch installs for it.

    That handler raises at any point of the program when a worker dies, even while another error is
    handled. The iterator also checks its workers itself, every few seconds.
    """
    before = signal.getsignal(signal.SIGCHLD) if FORKS else None
    batches = iter(loader)
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)
    return batches


class _Rows(Dataset[Tensor]):
    """The rows of an array, read in batches."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def __getitems__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return self.pixels[rows]


def send(values: Tensor, device: torch.device) -> Tensor:
    """Move values to the device without waiting for its pending work."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def in_batches(data: Samples, rows: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield labels and pixels of some rows, `size` samples at a time."""
    groups = torch.split(rows, size)
    for chunk, pixels in zip(groups, data.read(groups), strict=True):
        yield data.labels[send(chunk, data.labels.device)], pixels


def free_memory(device: torch.device) -> int:
    """Return the free memory of the device in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def place(part: Part, device: torch.device) -> Samples:
    """Move a part to the device as uint8, or stream it if it does not fit."""
    labels = torch.from_numpy(part.labels).to(device)
    if part.size > FITS * free_memory(device):
        return Streamed(part.pixels, part.rows, labels)
    return Resident(torch.from_numpy(part.read()).to(device), labels)
