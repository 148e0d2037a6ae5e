"""Forget lists, models and cells of a bench, each with a digest of its dependencies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from falw_cli.bench.jobs import Job
from falw_cli.bench.plan import Bench, Dataset, Entry, Lot
from falw_cli.bench.store import Store, digest
from falw_cli.config.settings import Config
from falw_cli.data import forget_list, loading
from falw_cli.data.listing import Listing
from falw_cli.runtime.outputs import write_all

REFERENCE_SEEDS = 100
"""Reference k of seed s is trained with seed s + 100 * k."""


@dataclass
class Source:
    """A dataset of the bench: its samples, and their digest."""

    dataset: Dataset

    @property
    def config(self) -> dict[str, Any]:
        """The part of a Config that names the samples."""
        some = self.dataset.model_dump(mode="json", exclude={"train"}, exclude_none=True)
        return {**some, "allow_outside": True}

    @cached_property
    def listing(self) -> Listing:
        """The training samples."""
        return loading.open_source(Config.model_validate(self.config), "data")

    @cached_property
    def digest(self) -> str:
        """Digest of IDs, classes and image bytes of all parts, independent of their location."""
        config = Config.model_validate(self.config)
        whole = hashlib.sha256()
        for part in ("data", "heldout", "test"):
            if getattr(config, part) is not None:
                listing = loading.open_source(config, part)
                whole.update(repr((part, listing.ids, listing.labels.tolist())).encode())
                for row in range(len(listing.files)):
                    whole.update(hashlib.sha256(listing.raw(row)).digest())
                if listing.array is not None:
                    whole.update(np.ascontiguousarray(listing.array).tobytes())
        return whole.hexdigest()


class Grid:
    """The jobs for lots and entries."""

    def __init__(self, bench: Bench, store: Store) -> None:
        self.bench = bench
        self.store = store
        self.sources = {name: Source(dataset) for name, dataset in bench.datasets.items()}

    def base(self, lot: Lot) -> dict[str, Any]:
        """Return the settings that all jobs of a lot share."""
        return {
            **self.sources[lot.dataset].config,
            "device": self.bench.device,
            "precision": self.bench.precision,
        }

    def check(self) -> None:
        """Open every dataset, so that errors are reported before any work.

        Raises:
            RequestError: a source is missing, empty or malformed.
        """
        for source in self.sources.values():
            config = Config.model_validate(source.config)
            for part in ("data", "heldout", "test"):
                if getattr(config, part) is not None:
                    loading.open_source(config, part)

    def ids(self, lot: Lot) -> str:
        """Return the path of the lot's forget list."""
        name = f"{lot.dataset}-{lot.ratio:g}-{lot.gamma:g}-{lot.seed}"
        return str(self.store.file("lists", name, ".txt"))

    def draw(self, lot: Lot) -> None:
        """Draw the lot's forget list and write it."""
        listing = self.sources[lot.dataset].listing
        available = np.bincount(listing.labels, minlength=len(listing.classes))
        total = max(1, round(lot.ratio * len(listing.ids)))
        sizes = forget_list.tail_sizes(available, total, lot.gamma, lot.seed)
        rows = forget_list.draw(listing.labels, sizes, lot.seed)
        text = "".join(f"{listing.ids[row]}\n" for row in rows)
        write_all({Path(self.ids(lot)): text.encode()})

    def _key(self, lot: Lot, *more: Any) -> list[Any]:
        dataset = self.bench.datasets[lot.dataset]
        shown = dataset.preprocessing.model_dump(mode="json")
        return [
            self.sources[lot.dataset].digest, dataset.train.model_dump(mode="json"), shown,
            dataset.classes, lot.arch, self.bench.device, self.bench.precision, *more,
        ]  # fmt: skip

    def original(self, lot: Lot) -> Job:
        """Return the job that trains the original."""
        return self._training(lot, lot.seed, None)

    def references(self, lot: Lot) -> list[Job]:
        """Return the jobs that train the Retrain models."""
        seeds = [lot.seed + REFERENCE_SEEDS * (k + 1) for k in range(self.bench.references)]
        return [self._training(lot, seed, lot) for seed in seeds]

    def _training(self, lot: Lot, seed: int, without: Lot | None) -> Job:
        dataset = self.bench.datasets[lot.dataset]
        left_out = [without.ratio, without.gamma, without.seed] if without else None
        what = f"Retrain of {lot}" if without else f"{lot.dataset}, {lot.arch}, seed {lot.seed}"
        config = {
            **self.base(lot), "arch": lot.arch, "seed": seed,
            "train": dataset.train.model_dump(mode="json"),
            "without": self.ids(lot) if without else None,
        }  # fmt: skip
        return Job("models", digest(self._key(lot, "model", seed, left_out)), what, config)

    def judgements(self, lot: Lot) -> list[Job]:
        """Return the jobs that measure the original and the references on the lot's list."""
        found = []
        for model in (self.original(lot), *self.references(lot)):
            name = digest(["metrics", model.name, lot.ratio, lot.gamma, lot.seed])
            path = str(self.store.file("models", model.name, ".safetensors"))
            config = {
                **self.base(lot), "model": path, "forget": self.ids(lot), "seed": lot.seed
            }  # fmt: skip
            found.append(Job("metrics", name, f"measure {model.label}", config))
        return found

    def cell(self, lot: Lot, entry: Entry, lr: float | None) -> Job:
        """Return the job that unlearns the lot's list with an entry, and a searched `lr` if any."""
        models = [self.original(lot), *self.references(lot)]
        files = [str(self.store.file("models", job.name, ".safetensors")) for job in models]
        unlearn = entry.config.unlearn.model_dump(mode="json")
        if lr is not None:
            unlearn["lr"] = lr
        config = {
            **self.base(lot), "model": files[0], "forget": self.ids(lot),
            "seed": lot.seed, "unlearn": unlearn,
        }  # fmt: skip
        known = tuple(job.name for job in self.judgements(lot))
        return Job(
            "cells", digest(["cell", known, unlearn, lot.seed]), f"{entry.label} on {lot}",
            config, known, tuple(files[1:]),
        )  # fmt: skip
