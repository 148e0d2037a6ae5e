"""Samples resident on the device and streamed to it: both give the same samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from falw_cli.data import device
from falw_cli.data.batches import Mix, epoch
from falw_cli.data.device import Resident, Samples, Streamed, place
from falw_cli.data.splits import Part, join

CPU = torch.device("cpu")


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """Every second of 60 samples in a memory-mapped file; sample i is filled with i."""
    whole = np.arange(60, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    np.save(tmp_path / "pixels.npy", whole)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    rows = np.arange(0, 60, 2)
    return Part(mapped, rows, rows % 3)


@pytest.fixture
def streamed(part: Part, monkeypatch: pytest.MonkeyPatch) -> Samples:
    monkeypatch.setattr(device, "FITS", 0.0)
    return place(part, CPU)


def test_samples_are_resident_if_they_fit_and_streamed_otherwise(
    part: Part, streamed: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(streamed, Streamed)
    monkeypatch.setattr(device, "FITS", 0.5)
    assert isinstance(place(part, CPU), Resident)
    monkeypatch.setattr(device, "free_memory", lambda _: 2 * part.size - 1)
    assert isinstance(place(part, CPU), Streamed)


def test_free_memory_is_measured() -> None:
    assert 0 < device.free_memory(CPU) <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("groups", "forks"),
    [(12, True), (2, True), (2, False)],
    ids=["at once", "by workers", "without workers"],
)
def test_streamed_samples_equal_resident_ones(
    part: Part, streamed: Samples, groups: int, forks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "FORKS", forks)
    monkeypatch.setattr(device, "FITS", 0.5)
    resident = place(part, CPU)
    wanted = list(torch.randperm(30, generator=torch.Generator().manual_seed(0)).split(groups))
    for one, other in zip(streamed.read(wanted), resident.read(wanted), strict=True):
        assert torch.equal(one, other)
    some = torch.tensor([4, 0, 29])
    for mine, theirs in (
        (streamed.of(some), resident.of(some)),
        (streamed.of(slice(3, 9)), resident.of(slice(3, 9))),
    ):
        assert len(mine) == len(theirs)
        assert torch.equal(mine.labels, theirs.labels)
        every = [torch.arange(len(mine))]
        assert torch.equal(next(mine.read(every)), next(theirs.read(every)))


def test_an_epoch_is_the_same_either_way(
    part: Part, streamed: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "FITS", 0.5)
    mix = Mix(7, forget_share=0.4)
    both = (epoch(data, 10, mix, 3, 0, skip=1) for data in (streamed, place(part, CPU)))
    for one, other in zip(*both, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.sample, other.sample)


def test_parts_of_a_source_are_joined_in_order(part: Part) -> None:
    first, second = (
        Part(part.pixels, part.rows[a:b], part.labels[a:b]) for a, b in ((20, 30), (0, 20))
    )
    joined = place(join(first, second), CPU)
    pixels = next(joined.read([torch.arange(30)]))
    assert pixels[:, 0, 0, 0].tolist() == [*range(40, 60, 2), *range(0, 40, 2)]


def test_a_whole_source_out_of_order_is_read_in_its_order() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    part = Part(pixels, np.array([2, 3, 0, 1]), np.zeros(4, dtype=np.int64))
    assert part.read().ravel().tolist() == [2, 3, 0, 1]


def test_a_killed_worker_ends_the_run_in_two_lines() -> None:
    # A separate process, because torch keeps the state of its workers in the process.
    run = subprocess.run(
        [sys.executable, "-c", READ_WITH_KILLED_WORKERS],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert run.returncode == 3, run.stderr
    assert "a process that reads images was killed" in run.stderr
    assert "Traceback" not in run.stderr


READ_WITH_KILLED_WORKERS = """
import os, signal, sys
import numpy as np, psutil, torch, typer
from falw_cli.data.device import Streamed
from falw_cli.cli.session import session

samples = Streamed(np.zeros((9, 4, 4, 3), np.uint8), np.arange(9), torch.zeros(9))
try:
    with session(quiet=False, verbose=0):
        batches = samples.read([torch.arange(3)] * 400)
        next(batches)
        for child in psutil.Process().children():
            os.kill(child.pid, signal.SIGKILL)
        list(batches)
except typer.Exit as left:
    sys.exit(left.exit_code)
"""
