"""safetensors files: reading and writing preserve the content; broken files are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from falw_cli.errors import RequestError
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.formats import safetensors
from tests.models.test_checkpoint import METADATA, write


def test_metadata_is_preserved_and_bytes_are_reproducible(tmp_path: Path) -> None:
    tensors = tiny_cnn(2, 1).state_dict()
    content = safetensors.write(tensors, METADATA)
    assert content == safetensors.write(tensors, METADATA)
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    found = safetensors.read(file)
    assert found.metadata == METADATA
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    with safe_open(file, "pt") as archive:
        assert archive.metadata().keys() == {"falw", "format"}
        assert archive.metadata()["format"] == "pt"  # accelerate refuses a file without it
    torch.testing.assert_close(load_file(file), dict(tensors), rtol=0, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tensors_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    save_file({"w": torch.tensor([1.0, value])}, tmp_path / "a.safetensors")
    with pytest.raises(RequestError, match="tensor w holds NaN"):
        safetensors.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_broken_files_are_refused(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "a.safetensors"
    write(file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RequestError, match="not a complete safetensors"):
        safetensors.read(file)


def test_malformed_metadata_is_refused(tmp_path: Path) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "a.safetensors", metadata={"falw": '{"arch": 3}'})
    with pytest.raises(RequestError, match="metadata is malformed at arch"):
        safetensors.read(tmp_path / "a.safetensors")
