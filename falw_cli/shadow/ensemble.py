"""Shadow models: trained with a part of the list, unlearned, and evaluated on the whole list."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save

from falw_cli.bench.pool import on_this_device
from falw_cli.bench.store import Store, digest
from falw_cli.config.settings import Config
from falw_cli.evaluation.scores import SamplePredictions
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Silent
from falw_cli.shadow.attacks import Matrix, Vector, margin
from falw_cli.shadow.judge import ModelOutputs

if TYPE_CHECKING:
    from falw_cli.data.splits import Part, Splits
    from falw_cli.models.network import Network

STORED = "margins before and after unlearning"
"""What is stored of a shadow model; results with other content are recomputed."""


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
    """IDs of the list that the model is trained with and then unlearns; may be all or none."""
    content: str
    """Digest of all samples."""
    earlier: tuple[str, ...] = ()
    """IDs of earlier requests, which no shadow model is trained with."""
    part: str = "shadows"

    @property
    def label(self) -> str:
        """See `pool.Job`."""
        return f"shadow model {self.number}"

    @property
    def name(self) -> str:
        """See `pool.Job`."""
        return digest(
            [STORED, self.train, self.unlearn, self.whole, self.inside, self.content, *self.earlier]
        )

    @property
    def trained(self) -> str:
        """Digest of the model before unlearning, which other methods and weightings share."""
        return digest([self.train, self.whole, self.inside, self.content, *self.earlier])

    def do(self, store: Store) -> None:
        """See `pool.Job`."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            trained = self._train(store, folder)
            unlearned = self._unlearn(folder, trained) if self.inside else trained
            self._evaluate(store, folder, trained, unlearned)

    def _train(self, store: Store, folder: Path) -> Path:
        from falw_cli.runtime.interrupt import Interrupt
        from falw_cli.training.run import train

        out = store.file("models", self.trained, ".safetensors")
        if out.exists():  # written atomically
            return out
        mine = set(self.inside)
        left_out = [*(one for one in self.whole if one not in mine), *self.earlier]
        without = str(_write(folder / "out.txt", left_out)) if left_out else None
        more = {"without": without, "out": str(out)}
        train(on_this_device(Config.model_validate(self.train | more)), Silent(), Interrupt())
        return out

    def _unlearn(self, folder: Path, model: Path) -> Path:
        from falw_cli.audit.build import Invocation
        from falw_cli.runs.unlearn import KnownMetrics, unlearn
        from falw_cli.runtime.interrupt import Interrupt

        ids = _write(folder / "in.txt", self.inside)
        out = folder / "unlearned.safetensors"
        report = folder / "report.json"
        more: dict[str, Any] = {
            "model": str(model),
            "forget": str(ids),
            "out": str(out),
            "report": str(report),
        }
        more |= self._forgotten(folder)
        config = on_this_device(Config.model_validate(self.unlearn | more))
        unlearn(config, Silent(), Interrupt(), Invocation.now(), KnownMetrics(None, ()))
        return out

    def _forgotten(self, folder: Path) -> dict[str, Any]:
        """Return the setting that leaves out the samples of earlier requests."""
        if not self.earlier:
            return {}
        return {"forgotten": [str(_write(folder / "earlier.txt", self.earlier))]}

    def _evaluate(self, store: Store, folder: Path, trained: Path, unlearned: Path) -> None:
        from falw_cli.models import checkpoint, checkpoint_files
        from falw_cli.models.inputs import open_inputs
        from falw_cli.runtime.engine import make_fabric

        ids = _write(folder / "whole.txt", self.whole)
        more = {"model": str(unlearned), "forget": str(ids)} | self._forgotten(folder)
        config = on_this_device(Config.model_validate(self.unlearn | more))
        inputs = open_inputs(config, Silent(), make_fabric(config))
        network, splits = inputs.network, inputs.splits
        content = asdict(model_outputs(network, splits))
        checkpoint.load_weights(network.module, checkpoint_files.read(trained), network.arch)
        content["trained_margins"] = margins(network, splits.forget)[None]
        write_all({store.file("shadows", self.name, ".safetensors"): save(content)})


def _write(path: Path, ids: list[str] | tuple[str, ...]) -> Path:
    path.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
    return path


def model_outputs(network: Network, splits: Splits) -> ModelOutputs:
    """Return a model's outputs for the forget and the test samples, as one row."""
    forget, test = _predict(network, splits.forget), _predict(network, splits.test)
    return ModelOutputs(margin(forget.loss)[None], forget.prob[None], test.prob[None])


def margins(network: Network, part: Part) -> Vector:
    """Return the margins of samples, [N], see `attacks.margin`."""
    return margin(_predict(network, part).loss)


def _predict(network: Network, part: Part) -> SamplePredictions:
    from falw_cli.data.device import place

    return SamplePredictions.of(network, place(part, network.fabric.device))


def read(store: Store, shadows: list[Shadow]) -> tuple[ModelOutputs, Matrix]:
    """Return the outputs of all shadow models, one row per model, and margins before unlearning."""
    found = [load_file(store.file("shadows", one.name, ".safetensors")) for one in shadows]
    stacked = {key: np.concatenate([one[key] for one in found]) for key in found[0]}
    before = stacked.pop("trained_margins")
    return ModelOutputs(**stacked), before
