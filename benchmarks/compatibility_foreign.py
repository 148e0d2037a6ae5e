"""Files that falw does not open, and names with the command that converts them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations

from benchmarks.compatibility_models import NAMES, SIZE
from falw_cli.architectures import tiny_cnn


def foreign(folder: Path) -> list[tuple[str, str, Path]]:
    """Write files that falw does not open; return library, description and path of each."""
    model, example = tiny_cnn(len(NAMES), 3).eval(), torch.rand(1, 3, SIZE, SIZE)
    made: list[tuple[str, str, Path]] = []

    def add(library: str, what: str, name: str) -> Path:
        made.append((library, what, folder / name))
        return folder / name

    torch.jit.trace(model, example).save(str(add("torch", "TorchScript", "script.pt")))
    torch.save(model, add("torch", "whole module (pickle)", "whole.pt"))
    torch.export.save(
        torch.export.export(model, (example,)), add("torch", "torch.export", "program.pt2")
    )
    torch.save(
        parametrizations.weight_norm(tiny_cnn(len(NAMES), 3)[0]).state_dict(),  # type: ignore[index]
        add("torch", "weight normalisation", "normed.pt"),
    )
    _peft(add("peft", "LoRA adapter", "adapter"))
    _onnx(add("onnx", "ONNX model", "model.onnx"))
    _hdf5(add("h5py", "HDF5 weights, as Keras", "model.h5"))
    add("–", "GGUF", "model.gguf").write_bytes(b"GGUF" + bytes(60))
    add("–", "Flax msgpack", "flax.msgpack").write_bytes(b"\x81\xa6params\x80")
    add("–", "pointer of Git LFS", "pointer.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )
    add("–", "web page saved as a checkpoint", "page.pt").write_bytes(b"<!DOCTYPE html><html>")
    return made


def _peft(place: Path) -> None:
    """Save a LoRA adapter, with peft where it is installed."""
    try:
        import peft
    except ImportError:
        place.mkdir()
        (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
        save_file({"a": torch.rand(2)}, place / "adapter_model.safetensors")
        return
    model = tiny_cnn(len(NAMES), 3)
    linear = next(name for name, layer in model.named_modules() if isinstance(layer, nn.Linear))
    peft.get_peft_model(model, peft.LoraConfig(target_modules=[linear])).save_pretrained(place)


def _onnx(place: Path) -> None:
    """Save an ONNX model, with onnx where it is installed."""
    try:
        import onnx
    except ImportError:
        place.write_bytes(b"\x08\x07\x12\x07pytorch")
        return
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [out])), place)


def _hdf5(place: Path) -> None:
    """Save an HDF5 file, with h5py where it is installed."""
    try:
        import h5py
    except ImportError:
        place.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
        return
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["dense/kernel"] = torch.rand(2, 3).numpy()
    place.write_bytes(stream.getvalue())
