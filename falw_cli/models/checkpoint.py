"""Checkpoints: safetensors in and out, with metadata and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing, TrainRecipe
from falw_cli.errors import RequestError, RunError
from falw_cli.models.architectures import Builder
from falw_cli.version import __version__

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""What DataParallel, torch.compile and Lightning put before every tensor's name."""
KEY = "falw"


class Metadata(BaseModel):
    """What a checkpoint says of itself, as JSON under the safetensors metadata key `falw`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    arch: str
    arch_config: dict[str, Any] | None = None
    """Of a library's architecture: what the library builds it by."""
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: TrainRecipe | None = None
    tool: str = f"falw {__version__}"
    parent: str | None = None
    """SHA-256 of the checkpoint that this one was made from."""
    unlearned: dict[str, Any] | None = None
    """Method, weighting and settings of the unlearning."""
    beside: dict[str, str] | None = None
    """Text files of the library's folder that it came from."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: tensors by the architecture's names, on the CPU."""

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    prefix: str
    metadata: Metadata | None
    foreign: dict[str, str]
    """Metadata that others wrote."""
    kind: str = "safetensors"
    """Its format, see `falw_cli.models.formats`."""
    build: Builder | None = None
    """Its own architecture, where a library owns it."""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Files of its folder that stay as they are."""
    around: Mapping[str, Any] = field(default_factory=dict)
    """Of a training dictionary: what stays beside the weights, which are at `key`."""
    key: str = ""
    shard: int = 0
    """Bytes of a shard; 0 where there are none."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def read(path: str | Path) -> Checkpoint:
    """Read a safetensors checkpoint.

    Raises:
        RequestError: no such file, not safetensors, truncated, or a tensor that is not finite.
        RunError: it changed while it was read.
    """
    file = Path(path)
    tensors, digest, notes = read_tensors(file)
    prefix = common_prefix(tensors)
    bare = {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return Checkpoint(file, digest, bare, prefix, _metadata(file, notes), notes)


def read_tensors(file: Path) -> tuple[dict[str, Tensor], str, dict[str, str]]:
    """Tensors, SHA-256 and metadata of a safetensors file.

    Raises:
        RequestError, RunError: as `read`.
    """
    hint = "give a checkpoint: .safetensors, .pt, or a folder of timm or transformers"
    if not file.is_file():
        raise RequestError(f"no checkpoint {file}", hint)
    try:
        before = _signature(file)
        digest = sha256(file)
        with safe_open(file, framework="pt") as archive:
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
            notes = archive.metadata() or {}
        if _signature(file) != before:
            raise RunError(f"{file} changed while it was read", "run again when it rests")
    except SafetensorError as error:
        raise RequestError(f"{file} is not a whole safetensors file: {error}", hint) from error
    except OSError as error:
        raise RequestError(f"{file} cannot be read: {error.strerror or error}", hint) from error
    if not tensors:
        raise RequestError(f"{file} holds no tensors", hint)
    checked(file, tensors)
    return tensors, digest, notes


def checked(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a tensor that is not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RequestError(
                f"{file}: tensor {name} holds NaN or infinite values", "the training diverged"
            )


def _signature(file: Path) -> tuple[int, ...]:
    state = file.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _metadata(file: Path, notes: Mapping[str, str]) -> Metadata | None:
    if KEY not in notes:
        return None
    try:
        return Metadata.model_validate_json(notes[KEY])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise RequestError(
            f"{file}: its falw metadata is malformed at {where}: {first['msg']}",
            "write it again with falw, or strip the metadata and give --arch",
        ) from error


def common_prefix(tensors: Mapping[str, Tensor]) -> str:
    """What wrappers put before every tensor's name."""
    prefix = ""
    while True:
        longer = next(
            (prefix + p for p in PREFIXES if all(n.startswith(prefix + p) for n in tensors)), None
        )
        if longer is None:
            return prefix
        prefix = longer


def fill(model: nn.Module, checkpoint: Checkpoint, arch: str) -> None:
    """Load a checkpoint into a module, in float32.

    Raises:
        RequestError: names or shapes differ; says which tensors, and how.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = checkpoint.shapes
    differing = [
        f"{name} is {_shape(found[name])}, expected {_shape(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    differing += [f"{name} is missing" for name in expected if name not in found]
    differing += [f"{name} is unknown to it" for name in found if name not in expected]
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise RequestError(
            f"{checkpoint.path} is not a {arch}: {'; '.join(differing[:3])}{more}",
            "give the architecture that it was trained with: --arch NAME",
        )
    model.load_state_dict(checkpoint.tensors)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape) or "a scalar"


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse what a run made of a network where it is no network any more.

    Raises:
        RunError: a tensor holds NaN or infinite values.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RunError(
                f"tensor {name} is not finite in {tensor.dtype} after the last step: the run "
                "diverged, nothing was written",
                "take a smaller --lr",
            )


def like(model: nn.Module, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """A module's tensors on the CPU, in the dtypes that the checkpoint had.

    Raises:
        RunError: a value is not finite there.
    """
    tensors = {
        name: tensor.detach().to("cpu", checkpoint.tensors[name].dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    check_finite(tensors)
    return tensors


def to_bytes(tensors: Mapping[str, Tensor], metadata: Metadata | None, prefix: str = "") -> bytes:
    """A checkpoint as a safetensors file's bytes: the same for the same content."""
    # One key alone: safetensors does not keep the order of several, and bytes must repeat.
    notes = {KEY: metadata.model_dump_json(exclude_none=True)} if metadata else {"format": "pt"}
    whole = {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    result: bytes = save(whole, metadata=notes)
    return result


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    whole = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
