"""What a base method and a weighting are to the rest: neither knows the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from falw_cli.data.device import Samples
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.target import Target


class Settings(BaseModel):
    """Hyperparameters of a method or weighting, by name; `unlearn.hyperparameters` sets them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Start:
    """What a method knows before the first step."""

    network: Network
    """The original, which the run will change; `retain`, `forget`: what it was trained on."""
    forget: Samples
    retain: Samples
    """Of the retain set what the run may look at."""
    guide: Samples
    """Held-out samples; empty where none were given."""
    kept: Tensor
    """All retain samples of each class, looked at or not, int64 [C]."""
    generator: torch.Generator
    """The run's randomness."""
    lr: float
    """For a method that takes one step of its own."""
    batch_size: int = 128
    """Samples per step, over all devices."""
    expectation: Expectation | None = None
    """Of the forget samples; None without held-out samples."""

    @property
    def num_classes(self) -> int:
        """C, the classes of the model."""
        return len(self.network.classes)


@dataclass(frozen=True)
class Seen:
    """What a step shows of n forget or n retain samples."""

    logits: Tensor
    """[n, C], with gradient."""
    position: Tensor
    """Place of each in the forget or retain set, int64 [n]."""
    label: Tensor
    """True class, int64 [n]."""
    images: Tensor
    """What the module was given, float [n, channels, S, S], augmented."""
    mean: Callable[[Tensor], Tensor] = torch.mean
    """Of a value [n] a sample: its mean over all ranks' samples of this kind in the batch."""


Masks = dict[nn.Parameter, Tensor]
"""Which weights of a parameter may move: bool, of its shape."""


class Method:
    """A base method: a loss for each forget sample and for each retain sample.

    The loop takes the mean of all losses of a merged batch, forget losses times their weights (FaLW
    equation 4 with alpha = beta = 1). Subclasses say what they need and override what differs.
    """

    uses_forget: ClassVar[bool] = True
    """Whether forget samples take part in the steps."""
    uses_retain: ClassVar[bool] = True
    """Whether retain samples take part in the steps. With neither, `apply` does all at once."""
    weightable: ClassVar[bool] = True
    """Whether the method defines a per-sample forget loss that a weighting can scale."""
    needs_guide: ClassVar[bool] = False
    """Whether the method uses held-out samples."""
    dropout: ClassVar[bool] = True
    """Whether dropout, drop-path and their like are active in the steps; BatchNorm always is."""
    search_from: ClassVar[float | None] = None
    """Learning rate around which one is searched, where the default is `auto`."""
    tries: ClassVar[tuple[float, ...]] = ()
    """With `lr: auto`: factors of `search_from`, each a whole run, until one gets there. Without
    any, short probes choose."""
    defaults: ClassVar[dict[str, Any]] = {}
    """Settings of the recipe found by measurement (docs/methods.md)."""
    fixed: ClassVar[dict[str, Any]] = {}
    """Settings of the recipe that make the method what it is: asking for others is an error."""
    settings_type: ClassVar[type[Settings]] = Settings
    """Its hyperparameters with their defaults."""

    mask: Masks | None = None
    """Weights outside of it stay what they are in `held`."""
    held: Mapping[nn.Parameter, Tensor] = MappingProxyType({})
    forget_mask: Masks | None = None
    """Weights outside of it are moved by the retain loss alone."""

    def __init__(self, start: Start, settings: Any) -> None:
        """Prepare from the original model; `settings` is of `Settings`."""

    def forget_loss(self, seen: Seen) -> Tensor:
        """Losses [n] of n forget samples."""
        return seen.logits.new_zeros(len(seen.logits))

    def retain_loss(self, seen: Seen) -> Tensor:
        """Losses [n] of n retain samples: cross-entropy against the true label."""
        return F.cross_entropy(seen.logits, seen.label, reduction="none")

    def penalty(self, progress: float) -> Tensor | None:
        """A term of the loss beside the samples'; `progress` of the run in [0, 1)."""
        return None

    def apply(self) -> None:
        """Change the model at once, for a method without steps."""

    def finish(self) -> None:
        """Undo what `__init__` changed in the module's shape, after the last step."""


class Weighting(Protocol):
    """A weighting: true-class probability and class of forget samples -> a weight each."""

    needs: ClassVar[Literal["nothing", "class", "probability", "target"]]
    """What `weight` looks at; the loop spares itself the passes for what it does not."""
    settings_type: ClassVar[type[Settings]]
    """Its hyperparameters with their defaults."""

    def __init__(self, counts: Tensor, num_classes: int, settings: Any) -> None:
        """Args: forget samples of each class [C]; C; its `Settings`."""

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Weights [n], without gradient, of forget samples: prob [n] in [0, 1], label int64 [n]."""
