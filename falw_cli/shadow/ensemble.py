"""Shadow models: trained with half of the list, unlearned, and evaluated on the whole list."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load_file, save

from falw_cli.bench.pool import on_this_device
from falw_cli.bench.store import Store, digest
from falw_cli.config.settings import Config
from falw_cli.evaluation.scores import SamplePredictions
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Silent
from falw_cli.shadow.attacks import margin
from falw_cli.shadow.judge import ModelOutputs

if TYPE_CHECKING:
    from falw_cli.models.inputs import Inputs


@dataclass(frozen=True)
class Shadow:
    """One shadow model: a `pool.Job`."""

    number: int
    train: dict[str, Any]
    """Config of its training, except for the left-out samples."""
    unlearn: dict[str, Any]
    """Config of its unlearning, except for model and list."""
    whole: tuple[str, ...]
    """IDs of the forget list."""
    inside: tuple[str, ...]
    """IDs of the list that the model is trained with and then unlearns."""
    content: str
    """Digest of all samples."""
    part: str = "shadows"

    @property
    def label(self) -> str:
        """See `pool.Job`."""
        return f"shadow model {self.number}"

    @property
    def name(self) -> str:
        """See `pool.Job`."""
        return digest([self.train, self.unlearn, self.whole, self.inside, self.content])

    @property
    def trained(self) -> str:
        """Digest of the model before unlearning, which other methods and weightings share."""
        return digest([self.train, self.whole, self.inside, self.content])

    def do(self, store: Store) -> None:
        """See `pool.Job`."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self._evaluate(store, folder, self._unlearn(folder, self._train(store, folder)))

    def _train(self, store: Store, folder: Path) -> Path:
        from falw_cli.runtime.interrupt import Interrupt
        from falw_cli.training.run import train

        out = store.file("models", self.trained, ".safetensors")
        if out.exists():  # written atomically
            return out
        mine = set(self.inside)
        left_out = _write(folder / "out.txt", [one for one in self.whole if one not in mine])
        more = {"without": str(left_out), "out": str(out)}
        train(on_this_device(Config.model_validate(self.train | more)), Silent(), Interrupt())
        return out

    def _unlearn(self, folder: Path, model: Path) -> Path:
        from falw_cli.audit.build import Invocation
        from falw_cli.runs.unlearn import KnownMetrics, unlearn
        from falw_cli.runtime.interrupt import Interrupt

        ids = _write(folder / "in.txt", self.inside)
        out = folder / "unlearned.safetensors"
        report = folder / "report.json"
        more = {"model": str(model), "forget": str(ids), "out": str(out), "report": str(report)}
        config = on_this_device(Config.model_validate(self.unlearn | more))
        unlearn(config, Silent(), Interrupt(), Invocation.now(), KnownMetrics(None, ()))
        return out

    def _evaluate(self, store: Store, folder: Path, model: Path) -> None:
        from falw_cli.models.inputs import open_inputs
        from falw_cli.runtime.engine import make_fabric

        ids = _write(folder / "whole.txt", self.whole)
        more = {"model": str(model), "forget": str(ids)}
        config = on_this_device(Config.model_validate(self.unlearn | more))
        found = model_outputs(open_inputs(config, Silent(), make_fabric(config)))
        content = {"margins": found.margins, "probs": found.probs, "population": found.population}
        write_all({store.file("shadows", self.name, ".safetensors"): save(content)})


def _write(path: Path, ids: list[str] | tuple[str, ...]) -> Path:
    path.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
    return path


def model_outputs(inputs: Inputs) -> ModelOutputs:
    """Return a model's outputs for the forget and the test samples, as one row."""
    from falw_cli.data.device import place

    device: torch.device = inputs.network.fabric.device
    forget, test = (
        SamplePredictions.of(inputs.network, place(part, device))
        for part in (inputs.splits.forget, inputs.splits.test)
    )
    return ModelOutputs(margin(forget.loss)[None], forget.prob[None], test.prob[None])


def read(store: Store, shadows: list[Shadow]) -> ModelOutputs:
    """Return the outputs of all shadow models, one row per model."""
    found = [load_file(store.file("shadows", one.name, ".safetensors")) for one in shadows]
    keys = ("margins", "probs", "population")
    return ModelOutputs(*(np.concatenate([one[key] for one in found]) for key in keys))
