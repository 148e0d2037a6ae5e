"""A network ready to use: its module on the device, with classes and preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data.batches import normalise
from falw_cli.data.device import Samples, send
from falw_cli.data.images import Geometry
from falw_cli.data.splits import Part
from falw_cli.errors import RequestError
from falw_cli.models import architectures, checkpoint
from falw_cli.models.batchnorm import share_batchnorm
from falw_cli.models.checkpoint import Checkpoint, Metadata
from falw_cli.runtime import collectives

if TYPE_CHECKING:
    from lightning_fabric import Fabric

INFERENCE_BATCH = 256
HELD_LOGITS = 1 << 20
"""Logits that are kept before they are reduced: many small steps take longer than a few."""
IMAGENET = Preprocessing(
    image_size=224, resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def true_class_probability(logits: Tensor, label: Tensor) -> Tensor:
    """Softmax probability of the true class: logits [N, C], label int64 [N] -> [N] in [0, 1]."""
    return logits.float().softmax(dim=1).gather(1, label[:, None]).squeeze(1)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards each layer is in the mode that it was in before."""
    training = [one for one in module.modules() if one.training]
    module.eval()
    try:
        yield
    finally:
        for one in training:
            one.training = True


def _reduced(
    reduce: Callable[[Tensor, Tensor], Tensor], batches: list[tuple[Tensor, Tensor]]
) -> Tensor:
    logits, labels = zip(*batches, strict=True)
    return reduce(torch.cat(logits), torch.cat(labels))


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Kept on the device: sending it there at each step would wait for the device."""
    return torch.tensor(values, device=device)


@dataclass(frozen=True)
class Network:
    """A classifier: module float32 on the device, classes in the order of its outputs."""

    module: nn.Module
    arch: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    fabric: Fabric
    plan: Plan | None = None
    """How it was made, where it was made from a checkpoint."""

    def inputs(self, pixels: Tensor) -> Tensor:
        """uint8 [n, S, S, channels] -> what the module takes, float [n, channels, S, S]."""
        mean, std = self.preprocessing.mean, self.preprocessing.std
        # Settled when the network was made.
        assert mean is not None
        assert std is not None
        return normalise(pixels, _constant(mean, pixels.device), _constant(std, pixels.device))

    @torch.no_grad()
    def logits(
        self, pixels: Tensor, moved: Callable[[Tensor], Tensor] = lambda inputs: inputs
    ) -> Tensor:
        """Logits [N, C] in eval mode; `moved` changes the inputs, [n, channels, S, S] each."""
        with evaluating(self.module), self.fabric.autocast():
            parts = [
                architectures.logits(self.module(moved(self.inputs(chunk))))
                for chunk in torch.split(pixels, INFERENCE_BATCH)
                if len(chunk)  # transformers takes no empty batch
            ]
        if not parts:
            return torch.empty(0, len(self.classes), device=pixels.device)
        return torch.cat(parts).float()

    def predict(self, samples: Samples) -> Tensor:
        """Logits [N, C] of samples, in eval mode; the ranks share the work, each gets them all."""
        parts = [logits for logits, _ in self._pass(samples)]
        return collectives.gather(torch.cat(parts), len(samples), self.fabric)

    def each(self, samples: Samples, of: Callable[[Tensor], Tensor]) -> Tensor:
        """What `of` makes of pixels uint8 [n, S, S, channels], [n, K] each, of all samples. [N, K]

        The ranks share the work, each gets all of it.
        """
        groups = torch.split(collectives.mine(len(samples), self.fabric), INFERENCE_BATCH)
        parts = [of(pixels) for pixels in samples.read(groups)]
        return collectives.gather(torch.cat(parts), len(samples), self.fabric)

    def confidence(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """True-class probability of samples, [N], and is the true class the likeliest, bool [N]."""
        found = self.of_each(
            samples,
            lambda logits, label: torch.stack(
                [true_class_probability(logits, label), logits.argmax(1) == label], dim=1
            ),
        )
        return found[:, 0], found[:, 1] > 0

    def of_each(self, samples: Samples, reduce: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What `reduce` makes of logits [n, C] and labels [n], [n, K] each, of all samples. [N, K]

        As `predict`, but without keeping all logits: of thousands of classes they are many.
        """
        parts: list[Tensor] = []
        waiting: list[tuple[Tensor, Tensor]] = []
        for one in self._pass(samples):
            waiting.append(one)
            if sum(logits.numel() for logits, _ in waiting) > HELD_LOGITS:
                parts.append(_reduced(reduce, waiting))
                waiting = []
        parts += [_reduced(reduce, waiting)] if waiting else []
        return collectives.gather(torch.cat(parts), len(samples), self.fabric)

    def _pass(self, samples: Samples) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and labels of this rank's share of the samples, a batch at a time."""
        groups = torch.split(collectives.mine(len(samples), self.fabric), INFERENCE_BATCH)
        for rows, pixels in zip(groups, samples.read(groups), strict=True):
            yield self.logits(pixels), samples.labels[send(rows, samples.labels.device)]


def with_metadata(config: Config, source: Checkpoint) -> Config:
    """The config with what the checkpoint says of itself below it.

    Raises:
        RequestError: nothing names the architecture, or a stranger's metadata names code.
    """
    said = source.metadata
    if said is None:
        return config
    lower: dict[str, object] = {
        "arch": said.arch,
        "arch_config": said.arch_config if config.arch in (None, said.arch) else None,
        "classes": said.classes,
        "preprocessing": said.preprocessing.model_dump(exclude_none=True),
    }
    settled = config.over(lower)
    if architectures.is_code(said.arch) and config.arch is None and not config.trust_code:
        raise RequestError(
            f"{source.path} asks to import code: architecture {said.arch!r}",
            "give it as --arch yourself, or --trust-code if you trust that checkpoint",
        )
    return settled


@dataclass(frozen=True)
class Plan:
    """What a checkpoint is before its data is read: enough to read the data for it."""

    build: Callable[[], nn.Module]
    arch: str
    channels: int
    num_classes: int
    arch_config: dict[str, Any] | None = None
    """What a library builds it by."""


def plan(config: Config, source: Checkpoint) -> Plan:
    """Architecture, channels and class count of a checkpoint whose config is settled.

    Raises:
        RequestError: no architecture is known, or the checkpoint has no head that fits it.
    """
    said = source.metadata
    if said is not None and source.build is not None and config.arch in (None, said.arch):
        build, arch = source.build, said.arch
    elif config.arch is None:
        raise RequestError(
            f"{source.path} does not say its architecture", "give it: --arch NAME (or in falw.yaml)"
        )
    else:
        arch = architectures.canonical(config.arch)
        build = architectures.builder(arch, config.arch_config)
    channels = architectures.channel_count(build, source.shapes)
    count = architectures.class_count(build, source.shapes, channels)
    if count is None or count < 2:
        # A wrong architecture: loading says best which tensors differ.
        checkpoint.fill(build(len(config.classes or "12"), channels), source, arch)
        raise RequestError(f"{source.path} has no classifier head of {arch}", "check --arch")
    if config.classes is not None and len(config.classes) != count:
        raise RequestError(
            f"{source.path} has {count} outputs, {len(config.classes)} class names are given",
            "`classes:` names each output once, in order",
        )
    return Plan(lambda: build(count, channels), arch, channels, count, config.arch_config)


def assemble(
    made: Plan, source: Checkpoint, classes: tuple[str, ...], shown: Preprocessing, fabric: Fabric
) -> Network:
    """The checkpoint's network on the device, in float32 and channels-last."""
    module = made.build()
    checkpoint.fill(module, source, made.arch)
    return Network(to_device(module, fabric), made.arch, classes, shown, fabric, made)


def to_device(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Move a module to Fabric's device, channels-last, which convolutions run fastest on.

    Where ranks share a batch, BatchNorm takes in all of it.
    """
    if fabric.world_size > 1:
        module = share_batchnorm(module, fabric.device)
    return module.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def measured(shown: Preprocessing, wanted: Geometry, data: Part) -> Preprocessing:
    """Return the preprocessing, with mean and std measured on the data where they are not given.

    Args:
        shown: what config and metadata say.
        wanted: geometry of the images.
        data: training samples that the network may see.
    """
    mean, std = shown.mean, shown.std
    if mean is None or std is None:
        sample = torch.from_numpy(data.read(max(1, len(data) // 10_000))).float()
        sample = sample.flatten(0, 2) / 255
        mean = tuple(round(v, 4) for v in sample.mean(0).tolist())
        std = tuple(round(max(v, 1e-3), 4) for v in sample.std(0).tolist())
    if len(mean) != wanted.channels or len(std) != wanted.channels:
        raise RequestError(
            f"preprocessing has {len(mean)} means and {len(std)} deviations, "
            f"the images {wanted.channels} channels",
            "give one number a channel",
        )
    settled = {"image_size": wanted.size, "resize": wanted.resize, "mean": mean, "std": std}
    return shown.model_copy(update=settled)


def metadata(network: Network, **more: Any) -> Metadata:
    """Return the metadata of a checkpoint of this network."""
    return Metadata(
        arch=network.arch, arch_config=network.plan.arch_config if network.plan else None,
        classes=network.classes, preprocessing=network.preprocessing, **more,
    )  # fmt: skip
