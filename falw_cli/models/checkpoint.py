"""A checkpoint in memory: its tensors and metadata, and loading them into a module."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing, TrainRecipe
from falw_cli.errors import RequestError, RunError
from falw_cli.models.architectures import Builder
from falw_cli.version import __version__

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""Prefixes that DataParallel, torch.compile and Lightning add to every tensor name."""
Tensors = Mapping[str, Tensor]
"""Tensors by name."""


class Ancestor(BaseModel):
    """A checkpoint that another one was made from, and how the next one in the chain was made."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: str
    step: Literal["unlearned", "converted"] = "unlearned"
    forget_list: str | None = None
    """SHA-256 of the list that the next checkpoint was made to forget, if known."""


class Metadata(BaseModel):
    """Metadata stored in a checkpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    arch: str
    arch_config: dict[str, Any] | None = None
    """Settings that a library builds its architecture with."""
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: TrainRecipe | None = None
    tool: str = f"falw {__version__}"
    parent: str | None = None
    """SHA-256 of the checkpoint that this one was made from."""
    ancestors: tuple[Ancestor, ...] = ()
    """All checkpoints that this one was made from by unlearning or conversion, oldest first."""
    unlearned: dict[str, Any] | None = None
    """Method, weighting and settings of the unlearning."""
    beside: dict[str, str] | None = None
    """Text files of the library's folder that the checkpoint came from."""

    @property
    def chain(self) -> tuple[Ancestor, ...]:
        """`ancestors`; if an older falw wrote the file, only the parent is known."""
        if self.ancestors or self.parent is None:
            return self.ancestors
        return (Ancestor(sha256=self.parent),)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: tensors by the architecture's names, on the CPU."""

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    prefix: str = ""
    """Prefix of every tensor name in the file, see `unwrap`."""
    metadata: Metadata | None = None
    kind: str = "safetensors"
    """Name of the format, a key of FORMATS."""
    build: Builder | None = None
    """Builder of the architecture if a library owns it."""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Other files of the folder, kept as they are."""
    around: Mapping[str, Any] = field(default_factory=dict)
    """Other entries of a training dictionary that are kept; the weights are at `key`."""
    key: str = ""
    shard: int = 0
    """Size of a shard in bytes; 0 without shards."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def require_finite(file: Path, tensors: Tensors) -> None:
    """Refuse a file with a tensor that is not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RequestError(
                f"{file}: tensor {name} holds NaN or infinite values", "give another checkpoint"
            )


def unwrap(tensors: Tensors) -> tuple[str, dict[str, Tensor]]:
    """Return the prefix that wrappers put before every name, and the tensors without it."""
    shared, prefix = os.path.commonprefix(list(tensors)), ""  # noqa: RUF071 (of characters)
    while longer := next((prefix + p for p in PREFIXES if shared.startswith(prefix + p)), None):
        prefix = longer
    return prefix, {name[len(prefix) :]: tensor for name, tensor in tensors.items()}


def load_weights(model: nn.Module, checkpoint: Checkpoint, arch: str) -> None:
    """Load a checkpoint into a module, in float32.

    Raises:
        RequestError: names or shapes differ; the message names the first tensors.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = checkpoint.shapes
    differing = [
        f"{name} is {_shape(found[name])}, expected {_shape(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    differing += [f"{name} is missing" for name in expected if name not in found]
    differing += [f"{name} is unexpected" for name in found if name not in expected]
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise RequestError(
            f"{checkpoint.path} is not a {arch}: {'; '.join(differing[:3])}{more}",
            "give the architecture of its training: --arch NAME",
        )
    model.load_state_dict(checkpoint.tensors)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape) or "a scalar"


def check_finite(tensors: Tensors) -> None:
    """Refuse the weights after a run that diverged.

    Raises:
        RunError: a tensor holds NaN or infinite values.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RunError(
                f"tensor {name} is not finite in {tensor.dtype} after the last step: the run "
                "diverged, nothing was written",
                "choose a smaller --lr",
            )


def tensors_like(model: nn.Module, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return a module's tensors on the CPU, in the dtypes of the checkpoint.

    Raises:
        RunError: a value is not finite in that dtype.
    """
    tensors = {
        name: tensor.detach().to("cpu", checkpoint.tensors[name].dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    check_finite(tensors)
    return tensors


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    whole = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
