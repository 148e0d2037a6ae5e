"""timm's folders: config.json holds the architecture, the preprocessing and the class names."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from falw_cli.config.settings import Preprocessing
from falw_cli.errors import RequestError, unknown_name
from falw_cli.models import folder
from falw_cli.models.architectures import Builder
from falw_cli.models.checkpoint import Checkpoint, Metadata, Tensors
from falw_cli.models.formats.safetensors import read_tensors, separate
from falw_cli.models.interfaces import FolderFormat
from falw_cli.runtime.extras import need

PREFIX, WEIGHTS = "timm/", folder.WEIGHTS
KEPT_OUT = ("pretrained", "checkpoint", "cache_dir", "num_classes", "in_chans", "features_only")
"""Arguments that are ignored: they would fetch something, or contradict the weights."""


def recognises(path: Path) -> bool:
    """Return whether a folder, or the one a file is in, has an architecture in its config.json."""
    return "architecture" in folder.read_config(path)[1]


def read(path: Path) -> Checkpoint:
    """Read a folder that timm saved.

    Raises:
        RequestError: timm or the weights are missing, or the config is malformed.
    """
    place, said = folder.read_config(path)
    arch = f"{PREFIX}{said['architecture']}"
    weights = place / WEIGHTS
    if not weights.is_file():
        raise RequestError(
            f"{place} has no {WEIGHTS}", "use save_for_hf(…, safe_serialization=True)"
        )
    tensors, sha256, _ = read_tensors(weights)
    given = said.get("model_args")
    arguments = given if isinstance(given, dict) else {}
    count = said.get("num_classes", arguments.get("num_classes"))
    count = count if isinstance(count, int) else 0
    shown, unclear, notes = preprocessing(said, place)
    if count:
        notes = (*notes, *folder.name_notes("label_names", said.get("label_names"), count))
    metadata = Metadata(
        arch=arch, arch_config=arguments, preprocessing=shown,
        classes=folder.class_names(said.get("label_names"), count),
        **folder.history(place),
    )  # fmt: skip
    return Checkpoint(
        place, sha256, tensors, metadata=metadata, build=builder(arch, arguments),
        beside={folder.CONFIG: (place / folder.CONFIG).read_bytes()}, notes=notes, unclear=unclear,
    )  # fmt: skip


def builder(arch: str, said: dict[str, Any]) -> Builder:
    """Return the builder of an architecture `timm/NAME`; `said` holds arguments for timm.

    Raises:
        RequestError: timm is not installed, or does not know the architecture.
    """
    timm = need("timm", "timm", f"architecture {arch}")
    name = arch.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise unknown_name("architecture of timm", name, timm.list_models())
    allowed = {k: v for k, v in said.items() if not k.startswith(KEPT_OUT)}

    def build(num_classes: int, channels: int) -> nn.Module:
        try:
            model: nn.Module = timm.create_model(
                name, pretrained=False, num_classes=num_classes, in_chans=channels, **allowed
            )
        except NotImplementedError:
            raise  # of the meta device: `skeleton` builds again, with values
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise RequestError(f"timm cannot build {name}: {error}", "check model_args") from error
        return model

    return build


def preprocessing(
    said: dict[str, Any], place: Path
) -> tuple[Preprocessing, RequestError | None, tuple[str, ...]]:
    """Return the checkpoint's preprocessing, or why falw cannot apply it, and notes on it."""
    nested = said.get("pretrained_cfg")
    found = {**said, **(nested if isinstance(nested, dict) else {})}
    try:
        _, height, width = found["input_size"]
        if height != width:
            raise ValueError("input_size is not square")
        for key in ("crop_mode", "crop_border_pixels"):
            if found.get(key) not in (None, 0, "center", "squash"):
                raise ValueError(f"falw does not apply {key} {found[key]}")
        mode = found.get("interpolation")
        how: Any = mode if mode in ("bilinear", "bicubic", "nearest") else "bicubic"
        lacks = f"{folder.CONFIG}: falw lacks interpolation {mode}, and uses bicubic"
        shown = Preprocessing(
            image_size=height, resize=math.floor(height / float(found.get("crop_pct") or 1.0)),
            squash=found.get("crop_mode") == "squash", interpolation=how,
            mean=tuple(found["mean"]), std=tuple(found["std"]),
        )  # fmt: skip
        return shown, None, () if mode in (None, how) else (lacks,)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        return Preprocessing(), folder.unclear(place / folder.CONFIG, error), ()


def write(tensors: Tensors, metadata: Metadata, source: Checkpoint) -> dict[str, bytes]:
    """Return the folder's files; timm loads them by `local-dir:`."""
    beside = source.beside or {folder.CONFIG: _config(metadata)}
    return {
        **beside,
        WEIGHTS: save(separate(tensors), metadata={"format": "pt"}),
        folder.OWN: metadata.model_dump_json(exclude_none=True, indent=2).encode(),
    }


def _config(metadata: Metadata) -> bytes:
    """Return a config.json written by timm, for weights without one."""
    timm = need("timm", "timm", f"architecture {metadata.arch}")
    shown, count = metadata.preprocessing, len(metadata.classes)
    channels = len(shown.mean or (0, 0, 0))
    model = builder(metadata.arch, metadata.arch_config or {})(count, channels)
    size = shown.image_size
    settled: dict[str, Any] = {"interpolation": shown.interpolation}
    if size:
        settled["input_size"] = (channels, size, size)
    if size or shown.squash:  # else as timm crops for this architecture
        settled["crop_mode"] = "squash" if shown.squash else "center"
        settled["crop_pct"] = size / (shown.resize or size) if size else 1.0
    if shown.mean and shown.std:
        settled |= {"mean": shown.mean, "std": shown.std}
    with tempfile.TemporaryDirectory() as place:
        timm.models.save_for_hf(
            model, place, safe_serialization=True,
            model_config={"label_names": list(metadata.classes), "pretrained_cfg": settled},
        )  # fmt: skip
        return (Path(place) / folder.CONFIG).read_bytes()


FORMAT = FolderFormat(recognises=recognises, read=read, write=write, builder=builder)
