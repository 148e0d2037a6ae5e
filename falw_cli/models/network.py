"""A network ready to use: its module on the device, with classes and preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data.batches import normalise
from falw_cli.data.device import Samples, in_batches
from falw_cli.errors import RequestError
from falw_cli.models import architectures, checkpoint, module_output
from falw_cli.models.batchnorm import share_batchnorm
from falw_cli.models.checkpoint import Checkpoint, Metadata
from falw_cli.models.fitting import fit
from falw_cli.models.stored_classes import stored_classes
from falw_cli.runtime import collectives

if TYPE_CHECKING:
    from lightning_fabric import Fabric

INFERENCE_BATCH = 256
HELD_LOGITS = 1 << 20
"""Number of logits to collect before a reduction: many small reductions are slower."""


def true_class_probability(logits: Tensor, label: Tensor) -> Tensor:
    """Softmax probability of the true class: logits [N, C], label int64 [N] -> [N] in [0, 1]."""
    return logits.float().softmax(dim=1).gather(1, label[:, None]).squeeze(1)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Set eval mode inside the block; restore the mode of each layer afterwards."""
    training = [one for one in module.modules() if one.training]
    module.eval()
    try:
        yield
    finally:
        for one in training:
            one.training = True


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers, by name."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _reduced(
    reduce: Callable[[Tensor, Tensor], Tensor], batches: list[tuple[Tensor, Tensor]]
) -> Tensor:
    logits, labels = zip(*batches, strict=True)
    return reduce(torch.cat(logits), torch.cat(labels))


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Cache a constant on the device: sending it at each step would wait for the device."""
    return torch.tensor(values, device=device)


@dataclass(frozen=True)
class Network:
    """A classifier: module float32 on the device, classes in the order of its outputs."""

    module: nn.Module
    arch: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    fabric: Fabric
    spec: NetworkSpec | None = None
    """Properties that it was built from, if it is from a checkpoint."""

    def copy(self) -> Network:
        """Return the network with a copy of its module, which may be changed freely."""
        return replace(self, module=deepcopy(self.module))

    def inputs(self, pixels: Tensor) -> Tensor:
        """Normalise pixels: uint8 [n, S, S, channels] -> float [n, channels, S, S]."""
        mean, std = self.preprocessing.mean, self.preprocessing.std
        assert mean is not None and std is not None, "`measured` has set both"  # noqa: PT018
        return normalise(pixels, _constant(mean, pixels.device), _constant(std, pixels.device))

    def pixel_range(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs of pixels 0 and 1, and the divisor of steps in pixels, [channels, 1, 1]."""
        std = torch.tensor(self.preprocessing.std, device=device)[:, None, None]
        ends = torch.tensor([0, 255], device=device).byte().expand(1, 1, len(std), 2)
        low, high = self.inputs(ends.permute(3, 0, 1, 2))
        return low, high, std

    @torch.no_grad()
    def logits(
        self, pixels: Tensor, moved: Callable[[Tensor], Tensor] = lambda inputs: inputs
    ) -> Tensor:
        """Return logits [N, C] in eval mode; `moved` changes inputs [n, channels, S, S].

        They are computed in fp32 on every device: bf16 or TF32 would round the scores of attacks.
        """
        cudnn = torch.backends.cudnn
        exact = cudnn.flags(
            enabled=True, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic,
            allow_tf32=False,
        )  # fmt: skip
        with evaluating(self.module), exact:
            parts = [
                module_output.logits(self.module(moved(self.inputs(chunk))), len(self.classes))
                for chunk in torch.split(pixels, INFERENCE_BATCH)
                if len(chunk)  # transformers rejects an empty batch
            ]
        if not parts:
            return torch.empty(0, len(self.classes), device=pixels.device)
        return torch.cat(parts).float()

    def predict(self, samples: Samples) -> Tensor:
        """Return logits [N, C] in eval mode; ranks share the work, and each gets all logits."""
        parts = [logits for logits, _ in self._pass(samples)]
        return collectives.gather(torch.cat(parts), len(samples), self.fabric)

    def map_pixels(self, samples: Samples, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `of` to all pixels in batches: uint8 [n, S, S, channels] -> [n, K]. Return [N, K].

        The ranks share the work, and each gets all results.
        """
        groups = torch.split(collectives.mine(len(samples), self.fabric), INFERENCE_BATCH)
        parts = [of(pixels) for pixels in samples.read(groups)]
        return collectives.gather(torch.cat(parts), len(samples), self.fabric)

    def confidence(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return true-class probabilities [N], and whether predictions are correct, bool [N]."""
        found = self.map_logits(
            samples,
            lambda logits, label: torch.stack(
                [true_class_probability(logits, label), logits.argmax(1) == label], dim=1
            ),
        )
        return found[:, 0], found[:, 1] > 0

    def map_logits(self, samples: Samples, reduce: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Apply `reduce` to logits [n, C] and labels [n] in batches -> [n, K]. Return [N, K].

        Unlike `predict`, it does not keep all logits, which are many with thousands of classes.
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
        """Yield logits and labels of this rank's share of the samples, per batch."""
        rows = collectives.mine(len(samples), self.fabric)
        for labels, pixels in in_batches(samples, rows, INFERENCE_BATCH):
            yield self.logits(pixels), labels


def with_metadata(config: Config, source: Checkpoint) -> Config:
    """Return the config, with unset values taken from the checkpoint's metadata.

    Raises:
        RequestError: the metadata names code, which the user has not allowed, or the checkpoint's
            preprocessing cannot be applied and the config does not replace it.
    """
    said, given = source.metadata, config.preprocessing
    if said is None:
        return config
    if source.unclear and None in (given.image_size, given.mean, given.std):
        raise source.unclear
    shown = said.preprocessing.model_dump(exclude_none=True)
    if given.squash and not said.preprocessing.squash:
        shown.pop("resize", None)  # of the shorter side
    lower: dict[str, object] = {
        "arch": said.arch,
        "arch_config": said.arch_config if config.arch in (None, said.arch) else None,
        "classes": said.classes,
        "preprocessing": shown,
    }
    settled = config.over(lower)
    if architectures.is_code(said.arch) and config.arch is None and not config.trust_code:
        raise RequestError(
            f"{source.path} asks to import code: architecture {said.arch!r}",
            "give it as --arch yourself, or --trust-code if you trust that checkpoint",
        )
    return settled


@dataclass(frozen=True)
class NetworkSpec:
    """Properties of a checkpoint that are needed to read its data."""

    build: Callable[[], nn.Module]
    arch: str
    channels: int
    num_classes: int
    arch_config: dict[str, Any] | None = None
    """Settings that a library builds it with."""
    stored_classes: tuple[str, ...] | None = None
    """Class names beside the weights, unless the config or the metadata has names."""


def network_spec(config: Config, source: Checkpoint) -> tuple[NetworkSpec, Checkpoint]:
    """Return what a checkpoint's network is built from, and its tensors by the module's names.

    Args: config, complete, with the checkpoint's metadata; source, as it was read.

    Raises:
        RequestError: no architecture is known, or the checkpoint has no head that fits it.
    """
    said = source.metadata
    if said is not None and source.build is not None and config.arch in (None, said.arch):
        build, arch = source.build, said.arch
    elif config.arch is None:
        raise RequestError(
            f"{source.path} does not name its architecture",
            "give --arch NAME, or your own code as --arch package.module:function; `falw init "
            "MODEL --data KIND:LOCATION` recognises torchvision's",
        )
    else:
        arch = architectures.canonical(config.arch)
        build = architectures.builder(arch, config.arch_config)
    source = fit(source, architectures.skeleton(build))
    means = len(config.preprocessing.mean or "RGB")
    channels = architectures.channel_count(build, source.shapes, means)
    count = architectures.class_count(build, source.shapes, channels)
    if count == 1:
        raise RequestError(
            f"{source.path} has one output, as for a sigmoid or a regression",
            "falw unlearns classifiers with one output per class: two for a yes or no",
        )
    if count is None:
        # A wrong architecture: loading reports which tensors differ.
        checkpoint.load_weights(build(len(config.classes or "12"), channels), source, arch)
        raise RequestError(
            f"no layer of {arch} depends on the number of classes",
            "build the last layer with as many outputs as the argument says: the number of classes",
        )
    if config.classes is not None and len(config.classes) != count:
        raise RequestError(
            f"{source.path} has outputs: {count}, class names given: {len(config.classes)}",
            "--classes FILE names each output once, one name per line, in the order of the outputs",
        )
    stored, notes = stored_classes(config.classes, source.around, count)
    built = NetworkSpec(
        lambda: build(count, channels), arch, channels, count, config.arch_config, stored
    )
    return built, replace(source, notes=(*source.notes, *notes))


def build_network(
    spec: NetworkSpec,
    source: Checkpoint,
    classes: tuple[str, ...],
    shown: Preprocessing,
    fabric: Fabric,
) -> Network:
    """Return the checkpoint's network on the device, in float32 and channels-last."""
    module = spec.build()
    checkpoint.load_weights(module, source, spec.arch)
    return Network(to_device(module, fabric), spec.arch, classes, shown, fabric, spec)


def to_device(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Move a module to Fabric's device, channels-last, which is fastest for convolutions.

    If ranks share a batch, BatchNorm uses all of it.
    """
    if fabric.world_size > 1:
        module = share_batchnorm(module, fabric.device)
    return module.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def metadata(network: Network, **more: Any) -> Metadata:
    """Return the metadata of a checkpoint of this network."""
    return Metadata(
        arch=network.arch, arch_config=network.spec.arch_config if network.spec else None,
        classes=network.classes, preprocessing=network.preprocessing, **more,
    )  # fmt: skip
