"""timm's folders: config.json with the architecture, its preprocessing and the class names."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing
from falw_cli.errors import RequestError, unknown_name
from falw_cli.models.architectures import Builder
from falw_cli.models.checkpoint import Checkpoint, Metadata, read_tensors
from falw_cli.models.formats import folder
from falw_cli.runtime.extras import need

NAME, PREFIX = "timm", "timm/"
WEIGHTS = "model.safetensors"
KEPT_OUT = ("pretrained", "checkpoint", "cache_dir", "num_classes", "in_chans", "features_only")
"""Arguments that a config may not give: they would fetch something, or contradict the weights."""


def recognises(path: Path) -> bool:
    """A folder, or the weights in one, whose config.json names an architecture of timm."""
    found = folder.of(path)
    return found is not None and "architecture" in folder.read_json(found / folder.CONFIG)


def read(path: Path) -> Checkpoint:
    """Read a folder that timm saved.

    Raises:
        RequestError: timm or the weights are missing, or the config is malformed.
    """
    place = folder.of(path)
    assert place is not None
    said = folder.read_json(place / folder.CONFIG)
    arch = f"{PREFIX}{said['architecture']}"
    weights = place / WEIGHTS
    if not weights.is_file():
        raise RequestError(
            f"{place} has no {WEIGHTS}", "save it so: save_for_hf(…, safe_serialization=True)"
        )
    tensors, sha256, _ = read_tensors(weights)
    own = folder.own(place)
    asked = said.get("model_args")
    arguments = asked if isinstance(asked, dict) else {}
    count = said.get("num_classes", arguments.get("num_classes"))
    metadata = Metadata(
        arch=arch,
        arch_config=arguments,
        classes=folder.names(said.get("label_names"), count if isinstance(count, int) else 0),
        preprocessing=preprocessing(said, place),
        recipe=own.recipe if own else None,
        unlearned=own.unlearned if own else None,
    )
    return Checkpoint(
        place, sha256, tensors, "", metadata, {}, kind=NAME, build=builder(arch, arguments),
        beside={folder.CONFIG: (place / folder.CONFIG).read_bytes()},
    )  # fmt: skip


def builder(arch: str, said: dict[str, Any]) -> Builder:
    """The builder of an architecture `timm/NAME`; `said`, arguments that timm builds it by.

    Raises:
        RequestError: timm is not installed, or does not know it.
    """
    timm = need("timm", NAME, f"architecture {arch}")
    name = arch.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise unknown_name("architecture of timm", name, timm.list_models())
    allowed = {k: v for k, v in said.items() if not k.startswith(KEPT_OUT)}

    def build(num_classes: int, channels: int) -> nn.Module:
        try:
            model: nn.Module = timm.create_model(
                name, pretrained=False, num_classes=num_classes, in_chans=channels, **allowed
            )
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            if isinstance(error, NotImplementedError):
                raise
            raise RequestError(f"timm cannot build {name}: {error}", "check model_args") from error
        return model

    return build


def preprocessing(said: dict[str, Any], place: Path) -> Preprocessing:
    """The checkpoint's own: input size, crop, interpolation, mean and std."""
    nested = said.get("pretrained_cfg")
    found = {**said, **(nested if isinstance(nested, dict) else {})}
    try:
        _, height, width = found["input_size"]
        if height != width:
            raise ValueError("input_size is not square")
        squash = found.get("crop_mode") == "squash"
        crop = 1.0 if squash else float(found.get("crop_pct") or 1.0)
        return Preprocessing(
            image_size=height, resize=math.floor(height / crop), squash=squash,
            interpolation=_known(found.get("interpolation")),
            mean=tuple(found["mean"]), std=tuple(found["std"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise RequestError(
            f"{place / folder.CONFIG} does not say how images are prepared: {error}",
            "save it again with timm, or give preprocessing in falw.yaml",
        ) from error


def _known(interpolation: object) -> Any:
    return interpolation if interpolation in ("bilinear", "bicubic", "nearest") else "bicubic"


def write(
    tensors: Mapping[str, Tensor], metadata: Metadata, source: Checkpoint
) -> dict[str, bytes]:
    """The folder's files; timm loads them by `local-dir:`."""
    beside = source.beside or {folder.CONFIG: _config(metadata)}
    return {
        **beside,
        WEIGHTS: save(dict(tensors), metadata={"format": "pt"}),
        folder.OWN: metadata.model_dump_json(exclude_none=True, indent=2).encode(),
    }


def _config(metadata: Metadata) -> bytes:
    """A config.json by timm itself, for weights that came without one."""
    timm = need("timm", NAME, f"architecture {metadata.arch}")
    shown, count = metadata.preprocessing, len(metadata.classes)
    channels = len(shown.mean or (0, 0, 0))
    model = builder(metadata.arch, metadata.arch_config or {})(count, channels)
    settled: dict[str, Any] = {"interpolation": shown.interpolation}
    if shown.image_size and shown.mean and shown.std:
        settled |= {
            "input_size": (channels, shown.image_size, shown.image_size), "mean": shown.mean,
            "std": shown.std, "crop_pct": shown.image_size / (shown.resize or shown.image_size),
        }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        timm.models.save_for_hf(
            model, place, safe_serialization=True,
            model_config={"label_names": list(metadata.classes), "pretrained_cfg": settled},
        )  # fmt: skip
        return (Path(place) / folder.CONFIG).read_bytes()
