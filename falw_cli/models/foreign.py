"""Models in formats that falw does not open: what they are, and the command that converts them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TO_WEIGHTS = "save only the weights: torch.save(model.state_dict(), FILE)"
COPY_TO = (
    "copy them into the model (torch_ema: ema.copy_to(model.parameters())), and save its state "
    "dict: torch.save(model.state_dict(), FILE)"
)
"""What to do with averages that are a list of tensors."""


@dataclass(frozen=True)
class Foreign:
    """A kind of file: what it is, after its path, and what to do."""

    what: str
    hint: str


TORCHSCRIPT = Foreign(
    "is a TorchScript program, not a checkpoint",
    'convert it: python -c "import torch; '
    "torch.save(torch.jit.load('{name}').state_dict(), 'weights.pt')\"",
)
WHOLE = Foreign(
    "is a whole model (a pickled module), which could run code",
    'if you trust it, in the folder of its code: python -c "import torch; '
    "torch.save(torch.load('{name}', weights_only=False).state_dict(), 'weights.pt')\"",
)
EXPORTED = Foreign(
    "is a program of torch.export, not a checkpoint",
    'convert it: python -c "import torch; '
    "torch.save(torch.export.load('{name}').state_dict, 'weights.pt')\"",
)
ONNX = Foreign(
    "is an ONNX model, not a checkpoint",
    "give the checkpoint it was exported from (.safetensors, .pt); ONNX keeps no trainable module",
)
KERAS = Foreign(
    "is a Keras (HDF5) model, not a checkpoint of PyTorch",
    "train or convert the model in PyTorch, then: torch.save(model.state_dict(), FILE)",
)
TENSORFLOW = Foreign("is a TensorFlow model, not a checkpoint of PyTorch", KERAS.hint)
FLAX = Foreign(
    "holds weights of Flax, not of PyTorch",
    'convert it with transformers 4: python -c "import transformers; transformers.'
    "AutoModelForImageClassification.from_pretrained('{name}', from_flax=True)"
    ".save_pretrained('{name}-pt')\"",
)
LORA = Foreign(
    "is a LoRA adapter of PEFT, not a whole model",
    'merge it into its base model: python -c "import peft, transformers; '
    "m = transformers.AutoModelForImageClassification.from_pretrained('BASE'); "
    "peft.PeftModel.from_pretrained(m, '{name}').merge_and_unload().save_pretrained('merged')\"",
)
LORA_LAYERS = Foreign(
    "holds the matrices of LoRA layers (lora_A, lora_B)",
    "merge them into the layers, e.g. by PEFT's model.merge_and_unload(), and save again",
)
PRUNED = Foreign(
    "holds pruning masks (weight_orig, weight_mask)",
    "make them permanent, and save again: torch.nn.utils.prune.remove(module, 'weight') "
    "per pruned layer",
)
NORMED = Foreign(
    "holds a parametrized weight (weight or spectral normalisation)",
    "remove it, and save again: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
    "; or give a function that builds it: --arch package.module:function",
)
OLD_NORMED = Foreign(
    "holds a weight with the old weight or spectral normalisation (weight_g, weight_u)",
    "remove it, and save again: torch.nn.utils.remove_weight_norm(layer) or "
    "remove_spectral_norm(layer); or give a function that builds it: --arch "
    "package.module:function",
)
QUANTISED = Foreign(
    "holds quantized weights, which cannot be trained", "give the checkpoint before quantization"
)
SHARDED = Foreign(
    "is a distributed checkpoint of torch",
    "convert it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {name} "
    "weights.pt",
)
BINARY = Foreign(
    "has its weights as a pickle (pytorch_model.bin) and no model.safetensors",
    'convert it: python -c "import transformers; transformers.AutoModelForImageClassification'
    ".from_pretrained('{name}').save_pretrained('{name}')\"",
)
POINTER = Foreign("is a pointer of Git LFS, not the file itself", "fetch it: git lfs pull")
WEB_PAGE = Foreign("is a web page, not a checkpoint", "download the file itself")
ARCHIVE = Foreign("is a compressed archive", "unpack it, and give the checkpoint inside")
NUMPY = Foreign(
    "is an archive of NumPy arrays",
    "load the arrays into the module, then: torch.save(model.state_dict(), FILE)",
)
GGUF = Foreign("is a GGUF file of llama.cpp, not a checkpoint", "give the checkpoint it is made of")

# In lower case, since web pages write their tags in either.
_BEGINNINGS = {
    b"\x89hdf\r\n\x1a\n": KERAS, b"gguf": GGUF, b"version https://git-lfs": POINTER,
    b"\x1f\x8b": ARCHIVE, b"bzh": ARCHIVE, b"\xfd7zxz\x00": ARCHIVE, b"7z\xbc\xaf": ARCHIVE,
    b"<!doctype html": WEB_PAGE, b"<html": WEB_PAGE,
}  # fmt: skip
_FOLDERS = {
    "adapter_config.json": LORA, "saved_model.pb": TENSORFLOW, "keras_metadata.pb": TENSORFLOW,
    ".metadata": SHARDED, "flax_model.msgpack": FLAX, "tf_model.h5": TENSORFLOW,
    "pytorch_model.bin": BINARY, "pytorch_model.bin.index.json": BINARY,
}  # fmt: skip
_SUFFIXES = {".onnx": ONNX, ".h5": KERAS, ".hdf5": KERAS, ".keras": KERAS, ".tflite": TENSORFLOW,
             ".pb": TENSORFLOW, ".msgpack": FLAX}  # fmt: skip


def recognised(path: Path) -> Foreign | None:
    """Return what a file or folder is, if it is a model that falw does not open."""
    if path.is_dir():
        whole = (path / "model.safetensors").is_file() or any(path.glob("*.safetensors.index.json"))
        found = (one for file, one in _FOLDERS.items() if (path / file).is_file())
        return None if whole else next(found, None)
    return _file(path) if path.is_file() else None


def _file(path: Path) -> Foreign | None:
    if (path.parent / "adapter_config.json").is_file() and path.name.startswith("adapter_model"):
        return LORA
    with path.open("rb") as stream:
        head = stream.read(512)
    if head[:4] == b"PK\x03\x04":
        return _zipped(path)
    # ONNX is a protobuf message that begins with the fields 1 (version) and 2 (producer) or 7.
    message = len(head) > 3 and head[0] == 0x08 and head[1] < 0x20 and head[2] in (0x12, 0x3A)
    known = [one for start, one in _BEGINNINGS.items() if head.lower().startswith(start)]
    known += [TENSORFLOW] if head[4:8] == b"TFL3" else []
    known += [ARCHIVE] if head[257:262] == b"ustar" else []
    known += [ONNX] if message else []
    return known[0] if known else _SUFFIXES.get(path.suffix.lower())


def _zipped(path: Path) -> Foreign | None:
    """Return what a zip archive is, if torch did not save it as a checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends and any("/code/" in name for name in names):
        return TORCHSCRIPT
    if ends & {"archive_format", "serialized_exported_program.json"}:
        return EXPORTED
    if "data.pkl" in ends:
        return None
    if "model.weights.h5" in ends:
        return KERAS
    return NUMPY if any(name.endswith(".npy") for name in names) else ARCHIVE


def named_tensors(names: Iterable[str]) -> Foreign | None:
    """Return what tensors are that no plain module has, by their names."""
    every = list(names)
    if any(".lora_" in name or name.startswith("lora_") for name in every):
        return LORA_LAYERS
    if any(name.endswith("_mask") and f"{name[:-5]}_orig" in set(every) for name in every):
        return PRUNED
    if any(".parametrizations." in f".{name}" for name in every):
        return NORMED
    if any(name.endswith(("weight_g", "weight_orig")) for name in every):
        return OLD_NORMED
    if any("_packed_params" in name or name.endswith(".zero_point") for name in every):
        return QUANTISED
    return None
