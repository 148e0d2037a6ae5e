"""Interfaces of base methods and weightings, which do not depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from falw_cli.config.extensions import METHODS, WEIGHTINGS
from falw_cli.data.device import Samples
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.target import Target


class Settings(BaseModel):
    """Hyperparameters of a method or weighting, set by `unlearn.hyperparameters`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class MethodInputs:
    """Inputs of a method before the first step."""

    network: Network
    """The original, trained on `retain` and `forget`; the run will change it."""
    forget: Samples
    retain: Samples
    """The part of the retain set that the run may use."""
    guide: Samples
    """Held-out samples; empty if none were given."""
    kept: Tensor
    """Number of retain samples per class, whether the run uses them or not, int64 [C]."""
    generator: torch.Generator
    """Random generator of the run."""
    lr: float
    """Learning rate, for a method that takes a single step itself."""
    batch_size: int = 128
    """Samples per step, over all devices."""
    expectation: Expectation | None = None
    """Expectation of the forget samples; None without held-out samples."""

    @property
    def num_classes(self) -> int:
        """C, the number of classes of the model."""
        return len(self.network.classes)


@dataclass(frozen=True)
class StepSamples:
    """Data of n forget or n retain samples in a step."""

    logits: Tensor
    """[n, C], with gradient."""
    position: Tensor
    """Index of each sample in the forget or retain set, int64 [n]."""
    label: Tensor
    """True class, int64 [n]."""
    images: Tensor
    """Augmented input of the module, float [n, channels, S, S]."""
    mean: Callable[[Tensor], Tensor] = torch.mean
    """Returns the mean of a per-sample value [n] over the samples of this kind on all ranks."""


Masks = dict[nn.Parameter, Tensor]
"""Weights of each parameter that may change: bool, in the parameter's shape."""


class Method:
    """A base method: a loss for each forget sample and for each retain sample.

    The loop minimises the mean loss of a merged batch, with forget losses times their weights (FaLW
    equation 4 with alpha = beta = 1). Subclasses declare what they need and override what differs.
    """

    uses_forget: ClassVar[bool] = True
    """Whether forget samples take part in the steps."""
    uses_retain: ClassVar[bool] = True
    """Whether retain samples take part in the steps. If neither set does, `apply` is called."""
    weightable: ClassVar[bool] = True
    """Whether the method defines a per-sample forget loss that a weighting can scale."""
    needs_guide: ClassVar[bool] = False
    """Whether the method uses held-out samples."""
    retain_free: ClassVar[bool] = False
    """Whether the method works with held-out samples in place of retain samples, or with none
    (`--no-retain`)."""
    dropout: ClassVar[bool] = True
    """Whether dropout, drop-path and similar layers are active in steps."""
    fixed_statistics_up_to: ClassVar[int] = -1
    """Length up to which a list is unlearned with BatchNorm's statistics of training."""
    again_rates: ClassVar[tuple[float, float]] = (1.0, 1.0)
    """Factors on the learning rate of `lr: auto` for such a list, on a model that was unlearned
    before: if it fits into one batch, and if not."""
    again_steps: ClassVar[int] = 1
    """Factor on the minimum number of steps in such a run."""
    least_momentum: ClassVar[float] = 0.0
    """Minimum momentum of BatchNorm's running statistics, for longer lists."""
    overshoots: ClassVar[bool] = True
    """Whether further steps can forget too much, so that the best step may be an early one."""
    search_from: ClassVar[float | None] = None
    """Centre of the learning-rate search, if the default learning rate is `auto`."""
    tries: ClassVar[tuple[float, ...]] = ()
    """With `lr: auto`: factors on `search_from`, tried in whole runs until one succeeds. If empty,
    short probes choose the learning rate."""
    defaults: ClassVar[dict[str, Any]] = {}
    """Default recipe settings, found by measurement (docs/methods.md)."""
    fixed: ClassVar[dict[str, Any]] = {}
    """Recipe settings that define the method; other values are an error."""
    settings_type: ClassVar[type[Settings]] = Settings
    """Class of the hyperparameters, with their defaults."""

    mask: Masks | None = None
    """Weights outside this mask keep their values from `held`."""
    held: Mapping[nn.Parameter, Tensor] = MappingProxyType({})
    forget_mask: Masks | None = None
    """Weights outside this mask are changed by the retain loss alone."""

    def __init__(self, inputs: MethodInputs, settings: Any) -> None:
        """Prepare from the original model; `settings` is a `settings_type`."""

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the losses [n] of n forget samples."""
        return samples.logits.new_zeros(len(samples.logits))

    def retain_loss(self, samples: StepSamples) -> Tensor:
        """Return the losses [n] of n retain samples: cross-entropy against the true label."""
        return F.cross_entropy(samples.logits, samples.label, reduction="none")

    def penalty(self, progress: float, part: tuple[int, int] = (0, 1)) -> Tensor | None:
        """Return a part of a loss term that belongs to no sample of the batch.

        Args:
            progress: of the run, in [0, 1).
            part: index and number of the parts into which small memory splits a step; the terms of
                all parts add up to the whole.
        """
        return None

    def apply(self) -> None:
        """Change the model at once, for a method without steps."""

    def finish(self) -> None:
        """Undo changes of `__init__` to the module's structure, after the last step."""


class Weighting(Protocol):
    """A weighting: a weight per forget sample, from its true-class probability and class."""

    needs: ClassVar[Literal["nothing", "class", "probability", "target"]]
    """What `weight` uses; the loop skips the forward passes for anything else."""
    settings_type: ClassVar[type[Settings]]
    """Class of the hyperparameters, with their defaults."""

    def __init__(self, counts: Tensor, num_classes: int, settings: Any) -> None:
        """Args: counts, forget samples per class [C]; num_classes, C; settings."""

    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return weights [n] without gradient for prob [n] in [0, 1] and label int64 [n]."""


def load_method(name: str) -> type[Method]:
    """Return the class of the base method `name`, a key of METHODS."""
    method: type[Method] = METHODS.load(name).method
    return method


def load_weighting(name: str) -> type[Weighting]:
    """Return the class of the weighting `name`, a key of WEIGHTINGS."""
    weighting: type[Weighting] = WEIGHTINGS.load(name).weighting
    return weighting
