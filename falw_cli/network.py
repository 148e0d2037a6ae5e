"""A network ready to use: its module on the device, with classes and preprocessing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from falw_cli import architectures, checkpoint
from falw_cli.checkpoint import Checkpoint, Metadata
from falw_cli.config import Config, Preprocessing
from falw_cli.data.batches import Resident, normalise
from falw_cli.data.images import Geometry
from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

INFERENCE_BATCH = 256
IMAGENET = Preprocessing(
    image_size=224, resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


@dataclass(frozen=True)
class Network:
    """A classifier: module float32 on the device, classes in the order of its outputs."""

    module: nn.Module
    arch: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    fabric: Fabric

    def inputs(self, pixels: Tensor) -> Tensor:
        """uint8 [n, S, S, channels] -> what the module takes, float [n, channels, S, S]."""
        mean, std = self.preprocessing.mean, self.preprocessing.std
        # Settled when the network was made.
        assert mean is not None
        assert std is not None
        device = pixels.device
        return normalise(
            pixels, torch.tensor(mean, device=device), torch.tensor(std, device=device)
        )

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """Logits [N, C] in eval mode, without augmentation; train mode is restored after."""
        training = self.module.training
        self.module.eval()
        try:
            with self.fabric.autocast():
                parts = [
                    architectures.logits(self.module(self.inputs(chunk)))
                    for chunk in torch.split(pixels, INFERENCE_BATCH)
                ]
        finally:
            self.module.train(training)
        if not parts:
            return torch.empty(0, len(self.classes), device=pixels.device)
        return torch.cat(parts).float()


def make_fabric(device: str, precision: str) -> Fabric:
    """The engine of device and precision.

    Args:
        device: auto, cpu, cuda or cuda:N.
        precision: auto (bf16 where the GPU has it, else fp32), fp32 or bf16.

    Raises:
        RequestError: there is no such device here.
    """
    from lightning_fabric import Fabric  # a second, which lists and `inspect` need not wait for

    kind, _, number = device.partition(":")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        kind = "cuda" if count else "cpu"
    if kind == "cuda" and int(number or 0) >= count:
        raise RequestError(
            f"device {device} is not here: torch sees {count} CUDA devices", "take --device cpu"
        )
    if precision == "auto":
        good = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if good else "fp32"
    with warnings.catch_warnings():
        # Fabric's advice to use a GPU that it found, and what precision it was given.
        warnings.simplefilter("ignore")
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        return Fabric(
            accelerator=kind,
            devices=[int(number or 0)] if kind == "cuda" else 1,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )


def settle(config: Config, source: Checkpoint) -> Config:
    """The config with what the checkpoint says of itself below it.

    Raises:
        RequestError: nothing names the architecture, or a stranger's metadata names code.
    """
    said = source.metadata
    if said is None:
        return config
    lower: dict[str, object] = {
        "arch": said.arch,
        "classes": said.classes,
        "preprocessing": said.preprocessing.model_dump(exclude_none=True),
    }
    if said.recipe is not None:
        recipe = said.recipe.model_dump()
        kept = ("optimizer", "momentum", "weight_decay", "crop", "flip")
        lower["unlearn"] = {key: recipe[key] for key in kept}
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


def plan(config: Config, source: Checkpoint) -> Plan:
    """Architecture, channels and class count of a checkpoint whose config is settled.

    Raises:
        RequestError: no architecture is known, or the checkpoint has no head that fits it.
    """
    if config.arch is None:
        raise RequestError(
            f"{source.path} does not say its architecture", "give it: --arch NAME (or in falw.yaml)"
        )
    arch = architectures.canonical(config.arch)
    build = architectures.builder(arch)
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
    return Plan(lambda: build(count, channels), arch, channels, count)


def assemble(
    made: Plan, source: Checkpoint, classes: tuple[str, ...], shown: Preprocessing, fabric: Fabric
) -> Network:
    """The checkpoint's network on the device, in float32 and channels-last."""
    module = made.build()
    checkpoint.fill(module, source, made.arch)
    return Network(to_device(module, fabric), made.arch, classes, shown, fabric)


def to_device(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Move a module to Fabric's device, channels-last, which convolutions run fastest on."""
    return module.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def complete(shown: Preprocessing, wanted: Geometry, data: Resident) -> Preprocessing:
    """Preprocessing with nothing left open: measured where nobody gave mean and std.

    Args:
        shown: what config and metadata say.
        wanted: geometry of the images.
        data: training samples that the network may see.
    """
    mean, std = shown.mean, shown.std
    if mean is None or std is None:
        sample = data.pixels[:: max(1, len(data) // 10_000)].float().flatten(0, 2) / 255
        mean = tuple(round(v, 4) for v in sample.mean(0).tolist())
        std = tuple(round(max(v, 1e-3), 4) for v in sample.std(0).tolist())
    if len(mean) != wanted.channels or len(std) != wanted.channels:
        raise RequestError(
            f"preprocessing has {len(mean)} means and {len(std)} deviations, "
            f"the images {wanted.channels} channels",
            "give one number a channel",
        )
    return Preprocessing(image_size=wanted.size, resize=wanted.resize, mean=mean, std=std)


def metadata(network: Network, **more: object) -> Metadata:
    """Metadata of a checkpoint of this network."""
    return Metadata.model_validate(
        {
            "arch": network.arch,
            "classes": network.classes,
            "preprocessing": network.preprocessing,
            **more,
        }
    )
