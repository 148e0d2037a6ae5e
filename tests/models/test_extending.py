"""A worked example: a new checkpoint format is one file. CONTRIBUTING.md quotes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from falw_cli.cli.app import run
from falw_cli.config.extensions import FORMATS
from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files, formats
from falw_cli.models.architectures import builder, tiny_cnn
from falw_cli.models.fitting import fit
from tests.extending import added

NPZ = '''\
"""Archives of NumPy arrays, as numpy.savez writes them."""

import io
import zipfile

import numpy as np
import torch

from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint, require_finite, sha256
from falw_cli.models.interfaces import FileFormat


def read(path):
    """Read the arrays. Pickled objects and compressed archives are refused."""
    try:
        with zipfile.ZipFile(path) as archive:  # sizes are checked before memory is taken
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed")
        with np.load(path, allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(arrays[name]) for name in arrays}
    except Exception as error:  # zipfile and numpy raise many kinds of errors
        raise RequestError(f"{path} cannot be read: {error}", "save it with numpy.savez") from error
    require_finite(path, tensors)
    return Checkpoint(path, sha256(path), tensors)


def write(tensors, metadata, source):
    """Return the file."""
    stream = io.BytesIO()
    np.savez(stream, **{name: tensor.numpy() for name, tensor in tensors.items()})
    return stream.getvalue()


FORMAT = FileFormat(suffixes=(".npz",), read=read, write=write)
'''


@pytest.fixture
def npz(tmp_path: Path) -> Iterator[Path]:
    """A working folder, while `npz.py` is registered as a format of files."""
    with added(formats, "npz", NPZ, tmp_path):
        yield tmp_path


def test_a_format_of_files_is_read_and_written(npz: Path) -> None:
    assert "npz" in FORMATS
    model, file = tiny_cnn(3, 1), npz / "model.npz"
    np.savez(file, **{f"module.{k}": v.detach().numpy() for k, v in model.state_dict().items()})
    assert checkpoint_files.is_checkpoint(file)
    found = fit(checkpoint_files.read(file), model)
    assert (found.kind, found.prefix, found.sha256) == (
        "npz", "module.", checkpoint_files.digest(file)
    )  # fmt: skip
    torch.testing.assert_close(found.tensors, dict(model.state_dict()), rtol=0, atol=0)
    out = checkpoint_files.default_out(file, "unlearned")
    checkpoint_files.check_output(out, found)
    written = checkpoint_files.written(out, found.tensors, None, found)
    assert written == {npz / "model.unlearned.npz": file.read_bytes()}


def test_a_format_of_files_is_converted(
    npz: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(npz)
    model = tiny_cnn(3, 1)
    save_file(model.state_dict(), "model.safetensors")
    assert run(["convert", "model.safetensors", "--out", "model.npz"]) == 0
    assert run(["convert", "model.npz", "--arch", "tiny-cnn", "--out", "back.safetensors"]) == 0
    assert capsys.readouterr().out.split() == ["model.npz", "back.safetensors"]
    back = checkpoint_files.read("back.safetensors")
    assert back.metadata is not None
    assert back.metadata.arch == "tiny-cnn"
    torch.testing.assert_close(back.tensors, dict(model.state_dict()), rtol=0, atol=0)
    assert run(["convert", "model.npz", "--out", "model.h5"]) == 2
    assert ".npz" in capsys.readouterr().err


def test_a_format_of_files_refuses_what_is_unsafe(npz: Path) -> None:
    np.savez(npz / "pickled.npz", weight=np.array([{}], dtype=object))
    np.savez_compressed(npz / "packed.npz", weight=np.zeros(10_000))
    np.savez(npz / "diverged.npz", weight=np.array([np.nan]))
    for name, said in (("pickled", "pickle"), ("packed", "compressed"), ("diverged", "NaN")):
        with pytest.raises(RequestError, match=said):
            checkpoint_files.read(npz / f"{name}.npz")


def test_a_format_without_architectures_has_no_builder(npz: Path) -> None:
    with pytest.raises(RequestError, match="unknown architecture 'npz/resnet18'"):
        builder("npz/resnet18")


FOLDER = """
import json
from pathlib import Path

import torch
from safetensors.torch import save

from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.checkpoint import Checkpoint, Metadata
from falw_cli.models.formats.safetensors import read_tensors
from falw_cli.models.interfaces import FolderFormat


def recognises(path):
    return (path / "zoo.json").is_file()


def read(path):
    said = json.loads((path / "zoo.json").read_text())
    tensors, digest, _ = read_tensors(path / "weights.safetensors")
    metadata = Metadata(
        arch="zoo/small", arch_config=said, classes=said["classes"], preprocessing={}
    )
    return Checkpoint(path, digest, tensors, metadata=metadata, build=builder("zoo/small", said))


def builder(arch, said):
    return lambda classes, channels: tiny_cnn(classes, channels)


def write(tensors, metadata, source):
    said = {"classes": metadata.classes}
    return {"zoo.json": json.dumps(said).encode(), "weights.safetensors": save(dict(tensors))}


FORMAT = FolderFormat(recognises=recognises, read=read, write=write, builder=builder)
"""


@pytest.fixture
def zoo(npz: Path) -> Iterator[Path]:
    """A working folder, while `zoo.py` is registered as a format of folders."""
    with added(formats, "zoo", FOLDER, npz):
        yield npz


def test_a_format_of_folders_is_converted(
    zoo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(zoo)
    model = tiny_cnn(2, 3)
    torch.save(model.state_dict(), "model.pt")
    assert run(["convert", "model.pt", "--arch", "zoo/small", "--out", "model"]) == 0
    assert run(["convert", "model", "--out", "model.safetensors"]) == 0
    assert run(["convert", "model.safetensors", "--out", "back"]) == 0
    assert run(["inspect", "back", "--json"]) == 0
    assert '"arch": "zoo/small"' in capsys.readouterr().out
    for name in ("model", "model.safetensors", "back"):
        found = checkpoint_files.read(name)
        assert found.build is not None
        torch.testing.assert_close(found.tensors, dict(model.state_dict()), rtol=0, atol=0)
    with pytest.raises(RequestError, match="not a folder of timm or transformers or zoo"):
        checkpoint_files.read("added-zoo")


def test_contributing_quotes_the_example() -> None:
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    assert f"```python\n{NPZ}```\n" in page
