"""The checkpoint format of a path, for reading and for writing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files

WEIGHTS = {"weight": torch.zeros(2, 3)}


def test_suffixes_in_the_order_of_messages() -> None:
    assert list(checkpoint_files.suffixes()) == [
        ".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pth.tar", ".pt.tar"
    ]  # fmt: skip


NAMES = ("a.safetensors", "a", "a.h5", "a.pt", "a.PTH", "a.ckpt", "a.bin", "a.pth.tar", "a.tar")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["safetensors", "torch", "legacy"])
def test_the_content_names_the_format(tmp_path: Path, name: str, kind: str) -> None:
    """The output, by default beside the file, has the file's form and loads as the file does."""
    file = tmp_path / name
    if kind == "safetensors":
        save_file(WEIGHTS, file)
    else:
        torch.save(WEIGHTS, file, _use_new_zipfile_serialization=kind == "torch")
    found = checkpoint_files.read(file)
    assert found.kind == ("safetensors" if kind == "safetensors" else "torch")
    known = checkpoint_files.suffixes().get(checkpoint_files.suffix(file))
    assert bool(found.notes) == (known is not None and known != found.kind)
    assert torch.equal(found.tensors["weight"], WEIGHTS["weight"])
    assert checkpoint_files.is_checkpoint(file)
    out = checkpoint_files.default_out(file, "unlearned")
    checkpoint_files.check_output(out, found)
    new = {"weight": torch.rand(2, 3)}
    ((path, content),) = checkpoint_files.written(out, new, None, found).items()
    path.write_bytes(content)
    again = checkpoint_files.read(path)
    assert (again.kind, path) == (found.kind, out)
    assert torch.equal(again.tensors["weight"], new["weight"])


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(RequestError, match="is empty"):
        checkpoint_files.read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "out"),
    [("model_best.pth.tar", "model_best.new.pth.tar"), ("a.b.PT", "a.b.new.PT"),
     ("weights", "weights.new.pt"), ("a.h5", "a.h5.new.pt"), ("epoch=3.ckpt", "epoch=3.new.ckpt")],
)  # fmt: skip
def test_default_outputs_keep_the_suffix(tmp_path: Path, name: str, out: str) -> None:
    torch.save(WEIGHTS, tmp_path / name)
    assert checkpoint_files.default_out(tmp_path / name, "new").name == out


def test_bare_weights_in_a_library_folder_are_read_as_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    file, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    save_file(WEIGHTS, file)
    assert checkpoint_files.read(file).kind == "safetensors"
    said = {"architecture": "resnet18", "input_size": [3, 8, 8], "mean": [0], "std": [1]}
    config.write_text(json.dumps({**said, "model_type": "vit"}))
    for path in (file, tmp_path):
        found = checkpoint_files.read(path)
        assert (found.kind, found.path) == ("timm", tmp_path)
    torch.save(WEIGHTS, tmp_path / "model.pt")
    assert checkpoint_files.read(tmp_path / "model.pt").kind == "torch"
    with pytest.raises(RequestError, match="no checkpoint"):
        checkpoint_files.read(tmp_path / "other.safetensors")


@pytest.mark.parametrize("entry", ["architecture", "model_type"])
def test_other_weights_in_a_library_folder_are_not_the_folder(tmp_path: Path, entry: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({entry: "vit"}))
    for name in ("model.safetensors", "other.safetensors"):
        save_file(WEIGHTS, tmp_path / name)
    with pytest.raises(RequestError, match="whose weights are another file") as refused:
        checkpoint_files.read(tmp_path / "other.safetensors")
    assert "name the folder" in str(refused.value.hint)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors",
     "model.safetensors.index.json", "optimizer.pt", "tf_model.h5"],
)  # fmt: skip
def test_other_weights_in_an_output_folder_are_refused(tmp_path: Path, name: str) -> None:
    """A library might load them instead of the output."""
    for file in (name, "config.json", "README.md"):
        (tmp_path / file).write_bytes(b"{}")
    new = [tmp_path / "config.json", tmp_path / "new.safetensors"]
    with pytest.raises(RequestError, match=f"{name} exists, and --force would not replace it"):
        checkpoint_files.refuse_other_weights(tmp_path, lambda: new, force=True)
    checkpoint_files.refuse_other_weights(tmp_path, lambda: [tmp_path / name], force=True)
    with pytest.raises(RequestError, match=f"{name} exists"):
        checkpoint_files.refuse_other_weights(tmp_path, lambda: [tmp_path / name], force=False)


def test_a_folder_of_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="not a folder of timm or transformers"):
        checkpoint_files.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "known"),
    [("a.safetensors", True), ("a.pt", True), ("a.PT", True), ("ids.txt", False), ("a", False)],
)
def test_is_checkpoint(tmp_path: Path, name: str, known: bool) -> None:
    assert checkpoint_files.is_checkpoint(tmp_path / name) == known
    assert not checkpoint_files.is_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert checkpoint_files.is_checkpoint(tmp_path)
    assert not checkpoint_files.is_checkpoint(tmp_path / "config.json")


def test_outputs_are_beside_the_model_and_in_a_known_format(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    found = checkpoint_files.read(tmp_path / "a.safetensors")
    assert checkpoint_files.default_out(found.path, "new") == tmp_path / "a.new.safetensors"
    assert checkpoint_files.default_out(tmp_path, "new") == tmp_path.with_name(
        tmp_path.name + ".new"
    )
    checkpoint_files.check_output(tmp_path / "b.pt", found)
    with pytest.raises(RequestError, match="b has no known suffix"):
        checkpoint_files.check_output(tmp_path / "b", found)


def test_digests_before_and_after_writing_agree(tmp_path: Path) -> None:
    files = {tmp_path / name: name.encode() for name in ("one", "two")}
    for file, content in files.items():
        file.write_bytes(content)
    assert checkpoint_files.digest(tmp_path) == checkpoint_files.digest_of(files)
    one = {tmp_path / "one": b"one"}
    assert checkpoint_files.digest(tmp_path / "one") == checkpoint_files.digest_of(one)


@pytest.mark.parametrize(
    "written", [".", "./", "../best", "../best/", "sub/..", "{here}", "{here}/"]
)
def test_the_output_of_a_folder_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    here = tmp_path / "best"
    (here / "sub").mkdir(parents=True)
    monkeypatch.chdir(here)
    out = checkpoint_files.default_out(Path(written.format(here=here)), "new")
    assert out.resolve() == tmp_path / "best.new"


def test_the_output_of_a_link_lies_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "run12").mkdir()
    (tmp_path / "best").symlink_to("run12")
    assert checkpoint_files.default_out(tmp_path / "best", "new") == tmp_path / "best.new"
