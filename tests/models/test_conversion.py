"""A checkpoint converted to another format has bit-identical weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from falw_cli.cli.app import run
from falw_cli.config.settings import Preprocessing
from falw_cli.models import checkpoint_files
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.checkpoint import Ancestor, Metadata
from falw_cli.models.formats import safetensors
from tests.conftest import falw
from tests.models.formats.test_libraries import FOLDERS


def same(one: Path, other: Path) -> None:
    """Assert that two checkpoints have the same weights by name."""
    torch.testing.assert_close(
        dict(checkpoint_files.read(one).tensors),
        dict(checkpoint_files.read(other).tensors),
        rtol=0,
        atol=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm resnet", "transformers vit, sharded"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    save, load = FOLDERS[name]
    model = save(tmp_path / "model")
    for source, out in (("model", "one.safetensors"), ("one.safetensors", "back"),
                        ("one.safetensors", "plain.pt")):  # fmt: skip
        done = falw("convert", source, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == out
        same(tmp_path / source, tmp_path / out)
    torch.testing.assert_close(
        load(tmp_path / "back").state_dict(), model.state_dict(), rtol=0, atol=0
    )
    said = checkpoint_files.read(tmp_path / "back").metadata
    assert said == checkpoint_files.read(tmp_path / "model").metadata


@pytest.mark.slow
def test_plain_weights_become_a_folder_of_timm(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet18", num_classes=3)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    (tmp_path / "falw.yaml").write_text(
        "arch: timm/resnet18\nclasses: [ant, bee, cat]\n"
        "preprocessing: {image_size: 32, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}\n"
    )
    done = falw("convert", "model.pt", "--out", "folder", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = timm.create_model(f"local-dir:{tmp_path / 'folder'}", pretrained=True)
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert loaded.pretrained_cfg["input_size"] == (3, 32, 32)
    assert checkpoint_files.read(tmp_path / "folder").metadata.classes == ("ant", "bee", "cat")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("shown", "written", "unknown"),
    [
        ("{image_size: 32, squash: true, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}",
         ("squash", 1.0, [3, 32, 32]), None),
        ("{image_size: 32, resize: 40}", ("center", 0.8, [3, 32, 32]), "mean, std"),
        ("{}", ("center", 0.95, [3, 160, 160]), "image_size, mean, std"),
    ],
)  # fmt: skip
def test_a_folder_of_timm_has_the_preprocessing_and_a_note_on_what_is_not_given(
    tmp_path: Path, shown: str, written: tuple[str, float, list[int]], unknown: str | None
) -> None:
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("test_resnet", num_classes=2).state_dict(), tmp_path / "model.pt")
    (tmp_path / "falw.yaml").write_text(f"arch: timm/test_resnet\npreprocessing: {shown}\n")
    done = falw("convert", "model.pt", "--out", "folder", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "folder/config.json").read_text())["pretrained_cfg"]
    assert (made["crop_mode"], made["crop_pct"], made["input_size"]) == written
    assert ("not given" in done.stderr) == (unknown is not None)
    assert f"not given in preprocessing: {unknown};" in done.stderr or unknown is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), "--out is missing"),
        (("--out", "folder"), "folder has no known suffix"),
        (("--out", "new.safetensors", "--arch", "resnet18"), "is not a resnet18"),
    ],
)
def test_invalid_conversions_are_refused(tmp_path: Path, asked: tuple[str, ...], said: str) -> None:
    torch.save({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, tmp_path / "model.pt")
    done = falw("convert", "model.pt", *asked, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_conversion_names_what_it_leaves_out_and_keeps_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tiny_cnn(3, 1)
    named = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    named["module.loss.weight"] = torch.rand(3)
    torch.save({"state_dict": named, "epoch": 3, "optimizer": {"x": torch.ones(1)}}, "a.pth.tar")
    assert run(["convert", "a.pth.tar", "--arch", "tiny-cnn", "--out", "b.safetensors"]) == 0
    said = capsys.readouterr().err
    for part in ("only weights are converted: epoch", "kept: optimizer", "module.loss.weight"):
        assert part in said
    found = checkpoint_files.read("b.safetensors").tensors
    assert torch.equal(found.pop("module.loss.weight"), named["module.loss.weight"])
    torch.testing.assert_close(found, dict(model.state_dict()), rtol=0, atol=0)
    assert run(["inspect", "a.pth.tar", "--arch", "tiny-cnn", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["prefix"], facts["format"]) == ("module.", "torch")
    assert (facts["weights"], facts["entries"]) == (["state_dict"], ["epoch"])
    assert facts["extra_tensors"] == ["module.loss.weight"]
    assert any("optimizer" in note for note in facts["notes"])


def test_a_torch_file_keeps_that_the_model_was_unlearned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tiny_cnn(2, 1)
    said = Metadata(
        arch="tiny-cnn", classes=("a", "b"), preprocessing=Preprocessing(image_size=8),
        ancestors=(Ancestor(sha256="a" * 64, forget_list="b" * 64),), unlearned={"seed": 0},
    )  # fmt: skip
    Path("a.safetensors").write_bytes(safetensors.write(model.state_dict(), said))
    assert run(["convert", "a.safetensors", "--out", "b.pt"]) == 0
    model.load_state_dict(torch.load("b.pt", weights_only=True))  # no other entry
    assert run(["convert", "b.pt", "--out", "c.safetensors"]) == 0
    found = checkpoint_files.read("c.safetensors").metadata
    assert found is not None
    assert found.unlearned == said.unlearned
    assert [one.step for one in found.chain] == ["unlearned", "converted", "converted"]
