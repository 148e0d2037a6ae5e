"""Parallel jobs, one per core or GPU, on one or more machines; results are stored by digest."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from falw_cli.bench.store import Store
from falw_cli.config.settings import Config
from falw_cli.errors import FalwError, Interrupted, RequestError, RunError
from falw_cli.runtime import ranks
from falw_cli.runtime.progress import Progress

POLL = 0.5
"""Seconds between two checks of the other machines' results."""
SUFFIX = {"models": ".json", "metrics": ".json", "cells": ".audit.json", "shadows": ".safetensors"}


class Job(Protocol):
    """A job, whose result is stored in the store's `part` under `name`."""

    @property
    def part(self) -> str:
        """Folder of the store."""

    @property
    def name(self) -> str:
        """Digest of all that the result depends on."""

    @property
    def label(self) -> str:
        """Name for messages."""

    def do(self, store: Store) -> None:
        """Run the job and store the result."""


@dataclass(frozen=True)
class Machine:
    """One of the machines that share a bench's folder and communicate through it; one rank each."""

    rank: int = 0
    ranks: int = 1

    @classmethod
    def here(cls) -> Machine:
        """Return this machine's rank, as started by torchrun or SLURM.

        Raises:
            RequestError: several ranks run on this machine.
        """
        place = ranks.detect()
        if place is None:
            return cls()
        if place.devices > 1:
            raise RequestError(
                f"a bench starts its own processes, but each machine has {place.devices} ranks",
                "start one rank on each machine; --jobs sets the number of processes per machine",
            )
        return cls(place.rank, place.ranks)

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until the other machines have finished their share."""
        while self.ranks > 1 and not done():
            time.sleep(POLL)


_DEVICE: list[str] = []
"""The GPU of this worker, if it has one."""


def prepare(threads: int, devices: Any) -> None:
    """Set up a worker: its share of the cores, and a GPU if the machine has any."""
    import torch

    torch.set_num_threads(threads)
    ranks.forget()  # machines share a bench's folder, they form no process group
    # The parent ends its workers on an interrupt; the thread ends this worker if the parent dies.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    if devices is not None:
        _DEVICE.append(devices.get())


def _follow_parent() -> None:
    """End this process when its parent process is gone, for example killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def on_this_device(config: Config) -> Config:
    """Return the config with the GPU of this worker, if it has one."""
    return config.model_copy(update={"device": _DEVICE[0]}) if _DEVICE else config


def run_job(store: Store, job: Job) -> str | None:
    """Run a job and store its result; return the error message if it failed."""
    try:
        job.do(store)
    except FalwError as error:
        failure = {"label": job.label, "error": str(error), "hint": error.hint}
        store.save(job.part, job.name, failure, ".error.json")
        return str(error)
    return None


def is_stored(store: Store, job: Job) -> bool:
    return store.file(job.part, job.name, SUFFIX[job.part]).exists()


@contextmanager
def workers(jobs: int | None, device: str) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of worker processes: one per GPU, or one per core."""
    import torch

    gpus = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = jobs or gpus or cores or 1
    context = multiprocessing.get_context("spawn")
    devices = None
    if gpus:
        devices = context.Manager().Queue()
        for index in range(count):
            devices.put(f"cuda:{index % gpus}")
    threads = max(1, (cores or 1) // count)
    pool = ProcessPoolExecutor(count, context, initializer=prepare, initargs=(threads, devices))
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(
            "the work was interrupted", "repeat the command to continue where it stopped", number
        )

    for number in old:
        signal.signal(number, stop)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for number, handler in old.items():
            signal.signal(number, handler)


def finished(store: Store, job: Job) -> bool:
    """Return whether a job is done, or is a failed cell, which would fail the same way again."""
    failed = job.part == "cells" and store.file(job.part, job.name, ".error.json").exists()
    return failed or is_stored(store, job)


def run(
    pool: ProcessPoolExecutor,
    store: Store,
    here: Machine,
    jobs: Iterable[Job],
    label: str,
    progress: Progress,
) -> list[str]:
    """Run this machine's share of the missing jobs, wait for the others, and return failures."""
    wanted = list({job.name: job for job in jobs}.values())
    mine = [job for job in wanted[here.rank :: here.ranks] if not finished(store, job)]
    progress.start(label, len(mine))
    waiting = {pool.submit(run_job, store, job): job for job in mine}
    while waiting:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            job = waiting.pop(future)
            error = future.result()
            if error is not None and job.part != "cells":
                raise RunError(f"{job.label}: {error}", "fix the cause and repeat the command")
            progress.advance(1, job.label)
    here.wait_for(lambda: all(finished(store, job) for job in wanted))
    undone = [job for job in wanted if not is_stored(store, job)]
    failures = [(job.label, store.load(job.part, job.name, ".error.json")) for job in undone]
    return [f"{name}: {found['error']}" for name, found in failures if found]
