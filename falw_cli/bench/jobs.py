"""Jobs of a bench, which worker processes run: train, measure, unlearn."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from falw_cli.bench.pool import on_this_device
from falw_cli.bench.store import Store
from falw_cli.config.settings import Config
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Silent


@dataclass(frozen=True)
class Job:
    """A job: its `config`, and the `part` and `name` under which its result is stored.

    `models` store a checkpoint and the summary of `falw train`, `metrics` a model's metrics on a
    list, `cells` an audit report. A job that fails writes `NAME.error.json`.
    """

    part: str
    name: str
    label: str
    config: dict[str, Any]
    known: tuple[str, ...] = ()
    """For a cell: names of the metrics of the original and of the references."""
    references: tuple[str, ...] = ()
    """For a cell: checkpoints of the references."""

    def do(self, store: Store) -> None:
        """See `pool.Job`."""
        config = on_this_device(Config.model_validate(self.config))
        work = {"models": _train, "metrics": _measure, "cells": _unlearn}[self.part]
        work(store, self, config)


def _train(store: Store, job: Job, config: Config) -> None:
    from falw_cli.training.run import train

    out = store.file("models", job.name, ".safetensors")
    config = config.model_copy(update={"out": str(out), "force": True})
    done = train(config, Silent(), Interrupt())
    store.save("models", job.name, {**asdict(done), "path": out.name})


def _measure(store: Store, job: Job, config: Config) -> None:
    from falw_cli.evaluation.measurement import measure
    from falw_cli.evaluation.predictions import EvaluationSamples
    from falw_cli.models.inputs import open_inputs
    from falw_cli.runtime.engine import make_fabric

    fabric = make_fabric(config)
    inputs = open_inputs(config, Silent(), fabric)
    found = measure(inputs.network, EvaluationSamples.of(inputs.splits, fabric.device), config.seed)
    store.save("metrics", job.name, found.model_dump(mode="json"))


def _unlearn(store: Store, job: Job, config: Config) -> None:
    from falw_cli.audit.build import Invocation
    from falw_cli.evaluation.metrics import Metrics
    from falw_cli.runs.unlearn import KnownMetrics, unlearn

    metrics = [Metrics.model_validate(store.load("metrics", name)) for name in job.known]
    known = KnownMetrics(metrics[0], tuple(metrics[1:]))
    with tempfile.TemporaryDirectory() as folder:
        paths = {"out": f"{folder}/cell.safetensors", "report": f"{folder}/cell.audit.json"}
        config = config.model_copy(update={**paths, "reference": job.references})
        invocation = Invocation(("falw", "bench", job.label), datetime.now(timezone.utc))
        unlearn(config, Silent(), Interrupt(), invocation, known)
        text = Path(paths["report"]).read_text()
    # A bench needs only the figures; the checkpoint can be recomputed.
    write_all({store.file("cells", job.name, ".audit.json"): text.encode()})
