"""The work of a bench, each piece in a process of its own: train, measure, unlearn."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from falw_cli import ranks
from falw_cli.bench.store import Store
from falw_cli.checkpoint import write_all
from falw_cli.config import Config
from falw_cli.errors import FalwError


@dataclass(frozen=True)
class Job:
    """A piece of work: its `config`, and the `part` and `name` under which its result is kept.

    `models` keep a checkpoint and what `falw train` says of it, `metrics` a net's metrics on a
    list, `cells` an audit report; a piece that fails leaves `NAME.error.json`.
    """

    part: str
    name: str
    label: str
    config: dict[str, Any]
    known: tuple[str, ...] = ()
    """Of a cell: names of the metrics of the original and of the references."""
    references: tuple[str, ...] = ()
    """Of a cell: checkpoints of the references."""


_DEVICE: list[str] = []
"""The GPU of this worker, if it has one."""


def prepare(threads: int, devices: Any) -> None:
    """Set up a worker: its share of the cores, and a GPU of its own where there are some."""
    import torch

    torch.set_num_threads(threads)
    ranks.forget()  # what a bench shares with other machines is its folder
    # An interrupt ends the workers through their parent, and so does its death.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    if devices is not None:
        _DEVICE.append(devices.get())


def _follow_parent() -> None:
    """End this process when the bench that it works for is gone, killed without a word."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def perform(store: Store, job: Job) -> str | None:
    """Do a piece of work and keep its result; the error's text where it failed."""
    config = Config.model_validate(job.config)
    if _DEVICE:
        config = config.model_copy(update={"device": _DEVICE[0]})
    work = {"models": _train, "metrics": _measure, "cells": _unlearn}[job.part]
    try:
        work(store, job, config)
    except FalwError as error:
        told = {"label": job.label, "error": str(error), "hint": error.hint}
        store.save(job.part, job.name, told, ".error.json")
        return str(error)
    return None


def _train(store: Store, job: Job, config: Config) -> None:
    from falw_cli.progress import Silent
    from falw_cli.training.interrupt import Interrupt
    from falw_cli.training.run import train

    out = store.file("models", job.name, ".safetensors")
    config = config.model_copy(update={"out": str(out), "force": True})
    done = train(config, Silent(), Interrupt())
    store.save("models", job.name, {**asdict(done), "path": out.name})


def _measure(store: Store, job: Job, config: Config) -> None:
    from falw_cli.engine import make_fabric
    from falw_cli.evaluation.evidence import Judged
    from falw_cli.evaluation.run import measure
    from falw_cli.inputs import open_inputs
    from falw_cli.progress import Silent

    fabric = make_fabric(config)
    given = open_inputs(config, Silent(), fabric)
    found = measure(given.network, Judged.of(given.splits, fabric.device), config.seed)
    store.save("metrics", job.name, found.model_dump(mode="json"))


def _unlearn(store: Store, job: Job, config: Config) -> None:
    from falw_cli.audit.build import Occasion
    from falw_cli.evaluation.metrics import Metrics
    from falw_cli.progress import Silent
    from falw_cli.training.interrupt import Interrupt
    from falw_cli.unlearning.run import Known, unlearn

    metrics = [Metrics.model_validate(store.load("metrics", name)) for name in job.known]
    known = Known(metrics[0], tuple(metrics[1:]))
    with tempfile.TemporaryDirectory() as folder:
        paths = {"out": f"{folder}/cell.safetensors", "report": f"{folder}/cell.audit.json"}
        config = config.model_copy(update={**paths, "reference": job.references})
        occasion = Occasion(("falw", "bench", job.label), datetime.now(timezone.utc))
        unlearn(config, Silent(), Interrupt(), occasion, known)
        text = Path(paths["report"]).read_text()
    # The figures are what a bench is for: the checkpoint can be made again.
    write_all({store.file("cells", job.name, ".audit.json"): text.encode()})
