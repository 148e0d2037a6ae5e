"""`falw train`: train a checkpoint, or a Retrain reference without the samples of a list."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data import images, loading, splits
from falw_cli.data.batches import Batch, generator
from falw_cli.data.copies import find_copies
from falw_cli.data.device import Samples, place
from falw_cli.data.images import Geometry, Images, Rows
from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError
from falw_cli.models import architectures, checkpoint, module_output
from falw_cli.models.checkpoint import LeftOut
from falw_cli.models.formats import safetensors
from falw_cli.models.input_size import check_input_size
from falw_cli.models.network import Network, NetworkSpec, metadata, to_device
from falw_cli.models.preprocessing import IMAGENET, measured
from falw_cli.runtime import outputs
from falw_cli.runtime.collectives import agreed, rank_zero_first
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress
from falw_cli.runtime.tracking import loggers, tracked
from falw_cli.training.loop import Work, fit
from falw_cli.training.state import StateFile, settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class TrainResult:
    """Result of `falw train`."""

    path: str
    sha256: str
    arch: str
    samples: int
    left_out: int
    seconds: float
    retain_accuracy: float
    """Percent, on the samples trained on, in eval mode without augmentation."""
    heldout_accuracy: float | None
    """Percent, on all held-out samples, which training does not use."""
    warnings: tuple[str, ...]


class CrossEntropy:
    """Mean cross-entropy against the true labels, as an `Objective`."""

    def __init__(self, label_smoothing: float) -> None:
        """Args: label_smoothing, share of the target spread over all classes."""
        self.label_smoothing = label_smoothing

    def backward(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """See `Objective`."""
        logits = module_output.logits(network.module(images))
        loss = F.cross_entropy(
            logits, batch.labels, label_smoothing=self.label_smoothing, reduction="sum"
        )
        # Fabric averages the ranks' gradients; this factor makes it the mean over the whole batch.
        loss = loss * network.fabric.world_size / batch.whole
        network.fabric.backward(loss)
        return loss.detach()

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """Return None: training has no early stopping."""
        return None

    def end_epoch(self, network: Network) -> None:
        """Do nothing."""

    def figures(self) -> dict[str, Tensor]:
        """Return no scalars."""
        return {}

    def state(self, network: Network) -> dict[str, Tensor]:
        """Return an empty state."""
        return {}

    def restore(self, network: Network, state: dict[str, Tensor]) -> None:
        """Do nothing: the state is empty."""


@dataclass(frozen=True)
class TrainInputs:
    """Checked inputs of a training run."""

    out: Path
    network: Network
    retain: Samples
    heldout: Samples | None
    left_out: int
    """Number of samples left out: those of the list, and their copies."""
    said: LeftOut
    """The list, for the metadata."""
    states: StateFile


def train(config: Config, progress: Progress, interrupt: Interrupt) -> TrainResult:
    """Train a network with the config's recipe and write its checkpoint.

    Raises:
        RequestError: the request is inconsistent.
        RunError: the loss diverged, or the file cannot be written.
        Interrupted: a signal arrived; `--resume` continues the run.
    """
    fabric = make_fabric(config, loggers(config, _out(config)))
    with ExitStack() as held:
        with agreed(fabric), rank_zero_first(fabric):
            inputs = _open(config, progress, fabric, held)
        held.enter_context(tracked(fabric, config.train.model_dump(mode="json")))
        label = f"train {inputs.network.arch}"
        work = Work(inputs.retain, 0, config.train, config.seed, label, compiled=config.compile)
        objective = CrossEntropy(config.train.label_smoothing)
        outcome = fit(inputs.network, work, objective, progress, interrupt, inputs.states)
        tensors = inputs.network.module.state_dict()
        checkpoint.check_finite(tensors)
        said = metadata(inputs.network, recipe=config.train, left_out=inputs.said)
        content = safetensors.write(tensors, said)
        if fabric.is_global_zero:
            outputs.write_all({inputs.out: content})
            inputs.states.remove()
        return TrainResult(
            path=str(inputs.out),
            sha256=hashlib.sha256(content).hexdigest(),
            arch=inputs.network.arch,
            samples=len(inputs.retain),
            left_out=inputs.left_out,
            seconds=outcome.seconds,
            retain_accuracy=_accuracy(inputs.network, inputs.retain),
            heldout_accuracy=_accuracy(inputs.network, inputs.heldout) if inputs.heldout else None,
            warnings=tuple(progress.warnings),
        )


def _out(config: Config) -> Path:
    return Path(config.out or ("retrain.safetensors" if config.without else "model.safetensors"))


def _open(config: Config, progress: Progress, fabric: Fabric, held: ExitStack) -> TrainInputs:
    """Open and check the inputs; closing `held` releases the output file."""
    out = _out(config)
    if out.suffix.lower() not in ("", ".safetensors"):
        raise RequestError(
            f"--out {out}: training writes a safetensors file",
            f"name it {out.stem}.safetensors; `falw convert` writes other formats",
        )
    if fabric.is_global_zero:
        held.enter_context(outputs.claimed([out], force=config.force))
    if config.arch is None:
        raise RequestError("--arch is missing", "give --arch NAME, such as tiny-cnn or resnet18")
    arch = architectures.canonical(config.arch)
    build = architectures.builder(arch, config.arch_config)
    listing = loading.open_source(config, "data", progress)
    classes = config.classes or listing.classes
    labels = splits.align(listing, classes)
    if len(np.unique(labels)) < 2:
        raise RequestError(f"{listing.spec!r} has fewer than two classes", "add another class")
    said, left_out = _rows_without(config, listing, progress)
    shown = _shown(config, arch)
    wanted = images.geometry(listing, shown, None, skip=config.skip_unreadable)
    data = images.load(listing, config, wanted, progress, secret=left_out)
    listed = loading.places(listing, data.listing)(left_out)  # rows shift if images were skipped
    found = find_copies(data, listed, config, progress)
    listed = np.union1d(listed, found)
    kept = np.setdiff1d(np.arange(len(data.listing.ids)), listed)
    retain = splits.part(data, splits.align(data.listing, classes), kept)
    shown = measured(shown, wanted, retain)
    with torch.random.fork_rng():
        torch.manual_seed(generator(config.seed, 0).initial_seed() % 2**63)
        module = build(len(classes), wanted.channels)
    spec = NetworkSpec(lambda: module, arch, wanted.channels, len(classes), config.arch_config)
    network = Network(to_device(module, fabric), arch, classes, shown, fabric, spec)
    check_input_size(network)
    states = StateFile.beside(out, _belongs_to(config, data, listed), config)
    heldout = _heldout(config, network, data, wanted, progress)
    number = len(left_out) + len(found)
    return TrainInputs(out, network, place(retain, fabric.device), heldout, number, said, states)


def _rows_without(config: Config, listing: Listing, progress: Progress) -> tuple[LeftOut, Rows]:
    if config.without is None:
        return LeftOut(count=0), images.NONE
    named, rows = loading.read_list(config.without, listing, progress)
    if len(rows) == len(listing.ids):
        raise RequestError(f"--without leaves out all {len(rows)} samples", "shorten the list")
    return LeftOut(count=len(named.ids), ids=named.ids_sha256), rows


def _shown(config: Config, arch: str) -> Preprocessing:
    """Return the preprocessing, with ImageNet's image sizes for torchvision's classifiers.

    Mean and std are measured on the training samples unless given.
    """
    if arch in architectures.OWN or architectures.is_code(arch):
        return config.preprocessing
    sizes = IMAGENET.model_dump(include={"image_size", "resize"})
    given = config.preprocessing.model_dump(exclude_none=True)
    if "image_size" in given:
        sizes["resize"] = None
    return Preprocessing.model_validate(sizes | given)


def _heldout(
    config: Config, network: Network, data: Images, wanted: Geometry, progress: Progress
) -> Samples | None:
    if config.heldout is None:
        return None
    unseen = images.load(loading.open_source(config, "heldout", progress), config, wanted, progress)
    rows = loading.unshared(data, unseen, ("data", "heldout"), config, progress)
    aligned = splits.align(unseen.listing, network.classes)
    for note in splits.guessed_names(unseen.listing, network.classes):
        progress.warn(note)
    return place(splits.part(unseen, aligned, rows), network.fabric.device)


def _belongs_to(config: Config, data: Images, left_out: Rows) -> dict[str, str]:
    """Return what identifies the run of a saved state: data, left-out samples and settings."""
    values = config.model_dump(
        mode="json", exclude={"out", "report", "force", "resume", "cache", "without", "save_every",
                              "unlearn", "track"},
    )  # fmt: skip
    rows = hashlib.sha256(left_out.tobytes()).hexdigest()
    return {**settings(values), "data": data.content_digest(), "forget list": rows}


def _accuracy(network: Network, part: Samples) -> float:
    """Return the accuracy in percent, in eval mode and without augmentation."""
    return 100 * float(network.confidence(part)[1].float().mean())
