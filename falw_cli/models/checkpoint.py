"""A checkpoint in memory: its tensors and metadata, and loading them into a module."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing, TrainRecipe
from falw_cli.errors import RequestError, RunError
from falw_cli.models import foreign
from falw_cli.models.architectures import Builder
from falw_cli.models.weight_sets import Which
from falw_cli.version import __version__

KEY = "falw"
"""Name of falw's metadata in a file."""
Tensors = Mapping[str, Tensor]
"""Tensors by name."""


class Ancestor(BaseModel):
    """A checkpoint that another one was made from, and how the next one in the chain was made."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: str
    step: Literal["unlearned", "converted"] = "unlearned"
    forget_list: str | None = None
    """SHA-256 of the list that the next checkpoint was made to forget, if known."""
    ids: str | None = None
    """Digest of the IDs on that list in sorted order; None if an older falw wrote the file."""
    rows: str | None = None
    """Where IDs were row numbers: the mark of the data's rows, see `row_numbers`."""
    forgotten: Literal[False] | None = None
    """False if the audit of that run did not show that the whole list is forgotten."""


class LeftOut(BaseModel):
    """The list that a training left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    count: int
    """IDs on the list; 0 without one."""
    ids: str | None = None
    """Digest of the IDs in sorted order; None without a list."""


class Metadata(BaseModel):
    """Metadata stored in a checkpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    arch: str
    arch_config: dict[str, Any] | None = None
    """Settings that a library builds its architecture with."""
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: TrainRecipe | None = None
    left_out: LeftOut | None = None
    """What `falw train` left out; None if another program or an older falw trained the model, or
    if it was unlearned."""
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


def metadata_from(file: Path, text: object) -> Metadata | None:
    """Return the metadata that a file holds as JSON; None if it holds no text.

    Raises:
        RequestError: the metadata is malformed.
    """
    if not isinstance(text, str):
        return None
    try:
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise RequestError(
            f"{file}: its falw metadata is malformed at {where}: {first['msg']}",
            "write it again with falw, or strip the metadata and give --arch",
        ) from error


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: tensors on the CPU by the file's names, or a module's after `fit`."""

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    prefix: str = ""
    """Prefix of the module's names in the file, known after `fit`."""
    metadata: Metadata | None = None
    kind: str = "safetensors"
    """Name of the format, a key of FORMATS."""
    build: Builder | None = None
    """Builder of the architecture if a library owns it."""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Other files of the folder, kept as they are."""
    around: Mapping[str, Any] = field(default_factory=dict)
    """Other entries of a training dictionary that are kept; the weights are at `key`."""
    key: tuple[str, ...] = ()
    """Keys that lead to the weights in a training dictionary."""
    others: tuple[Checkpoint, ...] = ()
    """Other sets of weights in the file, such as averages; at most one is used and written."""
    unclear: RequestError | None = None
    """Why the preprocessing cannot be read; the config must give it."""
    wanted: Which | None = None
    """The user's choice between raw and averaged weights."""
    names: Mapping[str, str] | None = None
    """Name in the file for each name of the module, after `fit`."""
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors that the module lacks and that are kept, by the file's names, after `fit`."""
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    """Pruning masks by the file's name of the weights, which `tensors` holds after masking."""
    notes: tuple[str, ...] = ()
    """Sentences on what was guessed, stripped, passed over or left out."""
    shard: int = 0
    """Size of a shard in bytes; 0 without shards."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def restored(self, tensors: Tensors) -> dict[str, Tensor]:
        """Return a module's tensors by the file's names, with its extra tensors and pruning masks.

        A name of a tied parameter that the file lacks is left out.
        """
        if self.names is None:
            return dict(tensors)
        named = {self.names[name]: tensor for name, tensor in tensors.items() if name in self.names}
        named |= {f"{name}_orig": named.pop(name) for name in self.masks}
        return {**named, **{f"{name}_mask": one for name, one in self.masks.items()}, **self.extras}


def require_finite(file: Path, tensors: Tensors) -> None:
    """Refuse a file with a tensor that is not finite, or stored in a way that cannot be trained."""
    for name, tensor in tensors.items():
        if stored := _storage(tensor):
            raise RequestError(
                f"{file}: tensor {name} is {stored}",
                "save dense weights of 16, 32 or 64 bits, e.g. those before quantization",
            )
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RequestError(
                f"{file}: tensor {name} holds NaN or infinite values", "give another checkpoint"
            )


def _storage(tensor: Tensor) -> str:
    """Return how a tensor is stored if falw cannot train it, else ""."""
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout != torch.strided:
        return f"{str(tensor.layout).removeprefix('torch.').replace('_', ' ')}, not dense"
    if tensor.is_meta:
        return "on the device meta, without values"
    eight = tensor.is_floating_point() and tensor.element_size() == 1
    return str(tensor.dtype).removeprefix("torch.") if eight else ""


def load_weights(model: nn.Module, checkpoint: Checkpoint, arch: str) -> None:
    """Load a checkpoint into a module, in float32; its names must be the module's, see `fit`.

    Raises:
        RequestError: names or shapes differ, or weights are integers; the message names the first
            tensors.
    """
    whole = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in whole.items()}
    found = checkpoint.shapes
    differing = [
        f"{name} is {_shape(found[name])}, expected {_shape(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    differing += [f"{name} is missing" for name in expected if name not in found]
    differing += [f"{name} is unexpected" for name in found if name not in expected]
    if differing:
        if known := foreign.named_tensors(found):
            hint = known.hint.format(name=checkpoint.path)
            raise RequestError(f"{checkpoint.path} {known.what}", hint)
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise RequestError(
            f"{checkpoint.path} is not a {arch}: {'; '.join(differing[:3])}{more}",
            "give the architecture of its training: --arch NAME",
        )
    for name, tensor in checkpoint.tensors.items():
        if whole[name].is_floating_point() and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise RequestError(
                f"{checkpoint.path}: tensor {name} is {kind}, expected floating-point numbers",
                foreign.QUANTISED.hint,
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
