"""transformers' folders of image classifiers: config.json, preprocessor_config.json, weights."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from falw_cli.config.settings import Preprocessing
from falw_cli.errors import RequestError, unknown_name
from falw_cli.models import folder, processor
from falw_cli.models.architectures import Builder
from falw_cli.models.checkpoint import Checkpoint, Metadata, Tensors
from falw_cli.models.formats.safetensors import read_tensors
from falw_cli.models.interfaces import FolderFormat
from falw_cli.models.processor import SHOWN
from falw_cli.runtime.extras import need

PREFIX = "transformers/"
WEIGHTS, INDEX = folder.WEIGHTS, "model.safetensors.index.json"
OTHER_WEIGHTS = frozenset({
    "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack",
})  # fmt: skip
"""Weights of older versions and of other libraries in the same folder."""


def recognises(path: Path) -> bool:
    """Return whether a folder, or the one a file is in, has a model type in its config.json."""
    return "model_type" in folder.read_config(path)[1]


def read(path: Path) -> Checkpoint:
    """Read a folder that transformers saved as safetensors, sharded or not.

    Raises:
        RequestError: transformers or a file is missing, or it is not an image classifier.
    """
    place, said = folder.read_config(path)
    _one_class_per_image(place, said)
    digests, largest = _weights(place)
    arch = f"{PREFIX}{said['model_type']}"
    build = builder(arch, said)
    library = _library(str(place))
    try:
        model, report = library.AutoModelForImageClassification.from_pretrained(
            str(place), config=_config(library, said), local_files_only=True, use_safetensors=True,
            trust_remote_code=False, output_loading_info=True, dtype="auto",
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise RequestError(
            f"transformers cannot load {place}: {reason}", "save it again"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise RequestError(
            f"{place} lacks {missing[0]} (and {len(missing) - 1} more)",
            "save a fine-tuned classifier with save_pretrained",
        )
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    shown, unclear = preprocessing(place, said)
    metadata = Metadata(
        arch=arch, arch_config=said,
        classes=folder.class_names(said.get("id2label"), model.config.num_labels),
        preprocessing=shown,
        **folder.history(place),
    )  # fmt: skip
    names = said.get("id2label"), model.config.num_labels, said.get("label2id")
    notes = (*_notes(place, metadata.preprocessing, report), *folder.name_notes("id2label", *names))
    beside = {SHOWN: (place / SHOWN).read_bytes()} if (place / SHOWN).is_file() else {}
    return Checkpoint(
        place, folder.digest(digests), tensors, metadata=metadata, build=build,
        beside=beside, shard=largest, notes=notes, unclear=unclear,
    )  # fmt: skip


def _one_class_per_image(place: Path, said: dict[str, Any]) -> None:
    """Refuse heads that do not choose one class per image.

    Raises:
        RequestError: the outputs are several labels per image, or numbers.
    """
    kind = said.get("problem_type")
    if kind not in (None, "single_label_classification"):
        raise RequestError(
            f"{place / folder.CONFIG} has problem_type {kind!r}: its outputs are not classes of "
            "which one is right",
            "falw unlearns classifiers with one class per image (single_label_classification)",
        )


def _weights(place: Path) -> tuple[dict[str, str], int]:
    """Return the SHA-256 of each weights file, and the size of the largest shard, or 0."""
    index = place / INDEX
    if not index.is_file():
        return {WEIGHTS: read_tensors(place / WEIGHTS)[1]}, 0
    if (place / WEIGHTS).exists():
        raise RequestError(
            f"{place} holds two sets of weights: {WEIGHTS} and the shards of {INDEX}",
            "remove those that you do not deploy",
        )
    shards = folder.read_json(index).get("weight_map")
    files = set(shards.values()) if isinstance(shards, dict) else set()
    for name in files:
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+\.safetensors", name):
            raise RequestError(f"{index}: bad shard name {name!r}", "put the shards beside it")
    if not files:
        raise RequestError(f"{index} names no shards", "save it with save_pretrained")
    digests = {name: read_tensors(place / name)[1] for name in sorted(files)}
    return digests, max((place / name).stat().st_size for name in files)


def _notes(place: Path, shown: Preprocessing, report: dict[str, Any]) -> tuple[str, ...]:
    """Return sentences on what was guessed or passed over in a folder."""
    notes: list[str] = []
    if not (place / SHOWN).is_file():
        size = f"{shown.image_size} pixels, from {folder.CONFIG}" if shown.image_size else "a guess"
        notes.append(f"no {SHOWN}: the input size is {size}")
    elif shown.mean is not None:
        notes += processor.notes(folder.read_json(place / SHOWN))
    if others := sorted(one.name for one in place.iterdir() if one.name in OTHER_WEIGHTS):
        notes.append(f"weights beside those in {WEIGHTS} are not used: {', '.join(others)}")
    if extra := sorted(report["unexpected_keys"]):
        more = f" (and {len(extra) - 1} more)" if len(extra) > 1 else ""
        notes.append(f"tensors that the model does not use are left out: {extra[0]}{more}")
    return tuple(notes)


def _library(what: str) -> Any:
    """Import transformers and silence it."""
    library = need("transformers", "transformers", what)
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


def _config(library: Any, said: dict[str, Any]) -> Any:
    if "auto_map" in said:
        raise RequestError(
            "config.json asks to run code from the checkpoint (auto_map)",
            "save the model without custom code, which falw does not run",
        )
    kind = said["model_type"]
    known = library.CONFIG_MAPPING
    if kind not in known:
        raise unknown_name("model type of transformers", str(kind), known.keys())
    # Entries that would fetch something are dropped: all weights are in the folder.
    fetched = ("use_pretrained_backbone", "_name_or_path", "backbone")
    return known[kind].from_dict({k: v for k, v in said.items() if k not in fetched})


def builder(arch: str, said: dict[str, Any]) -> Builder:
    """Return the builder of an architecture `transformers/TYPE` from its config.

    Raises:
        RequestError: transformers is not installed, or has no such image classifier.
    """
    library = _library(f"architecture {arch}")
    if not said:
        raise RequestError(f"architecture {arch} needs its config", "give the checkpoint's folder")
    _config(library, said)

    def build(num_classes: int, channels: int) -> nn.Module:
        config = _config(library, {**said, "id2label": {i: str(i) for i in range(num_classes)}})
        if hasattr(config, "num_channels"):
            config.num_channels = channels
        try:
            model: nn.Module = library.AutoModelForImageClassification.from_config(config)
        except ValueError as error:
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"{arch} is no image classifier: {reason}", "give another"
            ) from error
        return model

    return build


def preprocessing(
    place: Path, said: dict[str, Any]
) -> tuple[Preprocessing, RequestError | None]:  # fmt: skip
    """Return the checkpoint's preprocessing, or why falw cannot apply it."""
    if not (place / SHOWN).is_file():
        side = _side(place, said)
        guess = Preprocessing(image_size=side, resize=side, squash=True)
        return (guess if side else Preprocessing()), None
    try:
        shown = folder.read_json(place / SHOWN)
        return processor.preprocessing(shown, said.get("image_size")), None
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        return Preprocessing(), folder.unclear(place / SHOWN, error)


def _side(place: Path, said: dict[str, Any]) -> int | None:
    """Return the input size that a config gives, or None.

    Raises:
        RequestError: the input is not square.
    """
    size = said.get("image_size")
    sides = set(size) if isinstance(size, list) else {size}
    if len(sides) > 1:
        raise RequestError(
            f"{place / folder.CONFIG}: image_size {size} is not square",
            "falw reads square images only",
        )
    side = sides.pop() if sides else None
    return side if isinstance(side, int) and not isinstance(side, bool) else None


def write(tensors: Tensors, metadata: Metadata, source: Checkpoint) -> dict[str, bytes]:
    """Return the folder's files as the library saves them; sharded like the source."""
    assert source.build is not None
    assert metadata.arch_config is not None
    channels = len(metadata.preprocessing.mean or (0, 0, 0))
    model: Any = source.build(len(metadata.classes), channels)
    model.load_state_dict(dict(tensors))
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(dtypes) == 1:
        model = model.to(dtypes.pop())
    library = _library(str(source.path))
    model.config = _config(library, metadata.arch_config)
    with tempfile.TemporaryDirectory() as place:
        sharded = {"max_shard_size": source.shard} if source.shard else {}
        model.save_pretrained(place, **sharded)
        files = {file.name: file.read_bytes() for file in sorted(Path(place).iterdir())}
    own = json.dumps(metadata.model_dump(mode="json", exclude_none=True), indent=2).encode()
    beside = {name: content for name, content in source.beside.items() if name == SHOWN}
    return {**files, **beside, folder.OWN: own}


FORMAT = FolderFormat(recognises=recognises, read=read, write=write, builder=builder)
