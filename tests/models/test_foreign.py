"""Models that falw does not open are named, with the command that converts them."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

from falw_cli.cli.app import run
from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files, foreign
from falw_cli.models.checkpoint import load_weights
from falw_cli.models.fitting import fit
from tests.models.test_fitting import plain, same

NAMES = ["{}", "model", "model.pt", "model.safetensors", "model.pth.tar"]
HDF5 = b"\x89HDF\r\n\x1a\n" + b"0" * 100
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def archive(*members: str) -> bytes:
    """Return a zip archive with these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for member in members:
            made.writestr(member, b"x")
    return stream.getvalue()


def tar() -> bytes:
    """Return a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        made.addfile(tarfile.TarInfo("state_dict"))
    return stream.getvalue()


def npz() -> bytes:
    """Return an archive of NumPy arrays."""
    stream = io.BytesIO()
    np.savez(stream, weight=np.zeros(3))
    return stream.getvalue()


def scripted() -> bytes:
    """Return a TorchScript program."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(3, 2), torch.rand(1, 3)), stream)  # type: ignore[no-untyped-call]
    return stream.getvalue()


CONTENTS = {
    "m.onnx": (b"\x08\x07\x12\x07pytorch", foreign.ONNX),
    "m.h5": (HDF5, foreign.KERAS),
    "m.keras": (archive("config.json", "metadata.json", "model.weights.h5"), foreign.KERAS),
    "m.pt2": (archive("m/archive_format", "m/models/model.json"), foreign.EXPORTED),
    "m.ts": (scripted(), foreign.TORCHSCRIPT),
    "m.tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 64, foreign.TENSORFLOW),
    "m.gguf": (b"GGUF\x03\0\0\0" + b"\0" * 64, foreign.GGUF),
    "m.npz": (npz(), foreign.NUMPY),
    "m.zip": (archive("model.pt"), foreign.ARCHIVE),
    "m.tar": (tar(), foreign.ARCHIVE),
    "m.tar.gz": (b"\x1f\x8b\x08" + b"\0" * 64, foreign.ARCHIVE),
    "m.pointer": (LFS, foreign.POINTER),
    "m.html": (b"<!DOCTYPE html><html><body>404", foreign.WEB_PAGE),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", CONTENTS)
def test_files_are_named_by_their_content(tmp_path: Path, kind: str, name: str) -> None:
    content, known = CONTENTS[kind]
    file = tmp_path / name.format(kind)
    file.write_bytes(content)
    with pytest.raises(RequestError) as refused:
        checkpoint_files.read(file)
    assert str(refused.value) == f"{file} {known.what}"
    assert refused.value.hint == known.hint.format(name=file)
    assert checkpoint_files.is_checkpoint(file)


FOLDERS = {
    "adapter_config.json": foreign.LORA, "saved_model.pb": foreign.TENSORFLOW,
    ".metadata": foreign.SHARDED, "flax_model.msgpack": foreign.FLAX,
    "pytorch_model.bin": foreign.BINARY,
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("config", [False, True])
def test_folders_are_named(tmp_path: Path, name: str, config: bool) -> None:
    (tmp_path / name).write_text(json.dumps({"peft_type": "LORA"}))
    if config:
        (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(RequestError, match=re.escape(FOLDERS[name].what)):
        checkpoint_files.read(tmp_path)


def test_the_file_of_an_adapter_is_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file({"a": torch.rand(2)}, tmp_path / "adapter_model.safetensors")
    found = foreign.recognised(tmp_path / "adapter_model.safetensors")
    assert found is foreign.LORA


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_model_is_named_and_its_command_converts_it(
    tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, target = plain(), plain()
    torch.save(model, "whole.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(RequestError, match="is a whole model") as refused:
        checkpoint_files.read("whole.pt")
    convert(refused.value.hint)
    load_weights(target, fit(checkpoint_files.read("weights.pt"), target), "x")
    same(dict(target.state_dict()), dict(model.state_dict()))


def test_the_command_for_torchscript_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.pt").write_bytes(scripted())
    with pytest.raises(RequestError) as refused:
        checkpoint_files.read("model.pt")
    convert(refused.value.hint)
    same(checkpoint_files.read("weights.pt").tensors, dict(torch.jit.load("model.pt").state_dict()))  # type: ignore[no-untyped-call]


def convert(hint: str) -> None:
    """Run the Python command of a hint."""
    command = re.search('python -c "(.*)"', hint)
    assert command
    exec(command[1], {})


def pruned() -> nn.Module:
    """Return a network with a layer of which nothing is left: such masks are not kept."""
    model = plain()
    prune.l1_unstructured(model[0], "weight", 1.0)  # type: ignore[index]
    return model


def normalised(wrap: object) -> nn.Module:
    """Return a network with a parametrized weight."""
    model = plain()
    wrap(model[0])  # type: ignore[operator, index]
    return model


def adapted() -> nn.Module:
    """Return a network with a LoRA adapter."""
    model = plain()
    model[2].register_parameter("lora_A", nn.Parameter(torch.rand(2, 2)))  # type: ignore[index, union-attr]
    return model


MODELS = {
    "pruned": (pruned, foreign.PRUNED),
    "weight norm": (lambda: normalised(parametrizations.weight_norm), foreign.NORMED),
    "spectral norm": (lambda: normalised(parametrizations.spectral_norm), foreign.NORMED),
    "old weight norm": (lambda: normalised(nn.utils.weight_norm), foreign.OLD_NORMED),
    "old spectral norm": (lambda: normalised(nn.utils.spectral_norm), foreign.OLD_NORMED),
    "lora": (adapted, foreign.LORA_LAYERS),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", MODELS)
def test_tensors_that_no_plain_module_has_are_named(
    tmp_path: Path, name: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, known = MODELS[name]
    model, file = make(), tmp_path / "a.pt"
    torch.save({prefix + k: v for k, v in model.state_dict().items()}, file)
    found = fit(checkpoint_files.read(file), plain())
    with pytest.raises(RequestError, match=re.escape(known.what)):
        load_weights(plain(), found, "x")
    own = make()
    load_weights(own, fit(checkpoint_files.read(file), own), "x")
    same(dict(own.state_dict()), dict(model.state_dict()))
    assert run(["inspect", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert any(known.what in note for note in said["notes"])
