"""Forget lists, models and cells of a bench, each with a digest of its dependencies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from falw_cli.bench.jobs import Job
from falw_cli.bench.plan import Bench, Dataset, Entry, Scenario
from falw_cli.bench.store import Store, digest
from falw_cli.config.settings import Config
from falw_cli.data import loading
from falw_cli.data.forget_list import draw_long_tail
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
    def listings(self) -> dict[str, Listing]:
        """The samples of each part that is given: data, heldout, test."""
        config = Config.model_validate(self.config)
        given = [part for part in loading.CALLED if getattr(config, part) is not None]
        return {part: loading.open_source(config, part) for part in given}

    @cached_property
    def digest(self) -> str:
        """Digest of IDs, classes and image bytes of all parts, independent of their location."""
        whole = hashlib.sha256()
        for part, listing in self.listings.items():
            whole.update(repr((part, listing.ids, listing.labels.tolist())).encode())
            for row in range(len(listing.files)):
                whole.update(hashlib.sha256(listing.raw(row)).digest())
            if listing.array is not None:
                whole.update(np.ascontiguousarray(listing.array).tobytes())
        return whole.hexdigest()


class Grid:
    """The jobs for scenarios and entries."""

    def __init__(self, bench: Bench, store: Store) -> None:
        self.bench = bench
        self.store = store
        self.sources = {name: Source(dataset) for name, dataset in bench.datasets.items()}

    def base(self, scenario: Scenario) -> dict[str, Any]:
        """Return the settings that all jobs of a scenario share."""
        return {
            **self.sources[scenario.dataset].config,
            "device": self.bench.device,
            "precision": self.bench.precision,
        }

    def check(self) -> None:
        """Open every dataset, so that errors are reported before any work.

        Raises:
            RequestError: a source is missing, empty or malformed.
        """
        for source in self.sources.values():
            source.listings  # noqa: B018

    def ids(self, scenario: Scenario) -> str:
        """Return the path of the scenario's forget list."""
        name = f"{scenario.dataset}-{scenario.ratio:g}-{scenario.gamma:g}-{scenario.seed}"
        return str(self.store.file("lists", name, ".txt"))

    def draw(self, scenario: Scenario) -> None:
        """Draw the scenario's forget list and write it."""
        listing = self.sources[scenario.dataset].listings["data"]
        text = draw_long_tail(listing, scenario.ratio, scenario.gamma, scenario.seed)
        write_all({Path(self.ids(scenario)): text.encode()})

    def _key(self, scenario: Scenario, *more: Any) -> list[Any]:
        dataset = self.bench.datasets[scenario.dataset]
        shown = dataset.preprocessing.model_dump(mode="json")
        return [
            self.sources[scenario.dataset].digest, dataset.train.model_dump(mode="json"), shown,
            dataset.classes, scenario.arch, self.bench.device, self.bench.precision, *more,
        ]  # fmt: skip

    def original(self, scenario: Scenario) -> Job:
        """Return the job that trains the original."""
        return self._training(scenario, scenario.seed, None)

    def references(self, scenario: Scenario) -> list[Job]:
        """Return the jobs that train the Retrain models."""
        seeds = [scenario.seed + REFERENCE_SEEDS * (k + 1) for k in range(self.bench.references)]
        return [self._training(scenario, seed, scenario) for seed in seeds]

    def _training(self, scenario: Scenario, seed: int, without: Scenario | None) -> Job:
        dataset = self.bench.datasets[scenario.dataset]
        left_out = [without.ratio, without.gamma, without.seed] if without else None
        what = (
            f"Retrain of {scenario}"
            if without
            else f"{scenario.dataset}, {scenario.arch}, seed {scenario.seed}"
        )
        config = {
            **self.base(scenario), "arch": scenario.arch, "seed": seed,
            "train": dataset.train.model_dump(mode="json"),
            "without": self.ids(scenario) if without else None,
        }  # fmt: skip
        return Job("models", digest(self._key(scenario, "model", seed, left_out)), what, config)

    def judgements(self, scenario: Scenario) -> list[Job]:
        """Return the jobs that measure the original and the references on the scenario's list."""
        found = []
        for model in (self.original(scenario), *self.references(scenario)):
            name = digest(["metrics", model.name, scenario.ratio, scenario.gamma, scenario.seed])
            path = str(self.store.file("models", model.name, ".safetensors"))
            config = {
                **self.base(scenario), "model": path, "forget": self.ids(scenario),
                "seed": scenario.seed,
            }  # fmt: skip
            found.append(Job("metrics", name, f"measure {model.label}", config))
        return found

    def cell(self, scenario: Scenario, entry: Entry, lr: float | None) -> Job:
        """Return the job that unlearns a list with an entry, and a searched `lr` if any."""
        models = [self.original(scenario), *self.references(scenario)]
        files = [str(self.store.file("models", job.name, ".safetensors")) for job in models]
        unlearn = entry.config.unlearn.model_dump(mode="json")
        if lr is not None:
            unlearn["lr"] = lr
        config = {
            **self.base(scenario), "model": files[0], "forget": self.ids(scenario),
            "seed": scenario.seed, "unlearn": unlearn,
        }  # fmt: skip
        known = tuple(job.name for job in self.judgements(scenario))
        return Job(
            "cells", digest(["cell", known, unlearn, scenario.seed]),
            f"{entry.label} on {scenario}", config, known, tuple(files[1:]),
        )  # fmt: skip
