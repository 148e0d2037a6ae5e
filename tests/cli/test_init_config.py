"""`falw init`: the config it writes fits the model and the data, and can be read back."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from falw_cli.cli.init_config import _line, _moved
from falw_cli.config.file import parse_yaml, relative_to
from falw_cli.config.resolution import resolve
from falw_cli.models import architectures
from tests.conftest import falw
from tests.data.pictures import make_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, seed in (("seen", 0), ("unseen", 500)):
        make_folder(tmp_path / name, {"ant": 6, "bee": 6}, seed=seed)
    (tmp_path / "models").mkdir()
    return tmp_path


ASKED = ("--data", "imagefolder:seen", "--heldout", "imagefolder:unseen")


def test_bare_weights_are_recognised_and_paths_are_relative_to_the_file(folder: Path) -> None:
    net = architectures.builder("resnet18")(2, 3)
    torch.save(net.state_dict(), folder / "models" / "net.pt")
    done = falw("init", "models/net.pt", *ASKED, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "models/falw.yaml"
    text = (folder / "models" / "falw.yaml").read_text()
    assert "CHECK" in text
    assert "`falw evaluate models/net.pt`" in done.stderr
    content, _ = parse_yaml(folder / "models" / "falw.yaml")
    assert content["arch"] == "resnet18"
    assert content["data"] == "imagefolder:../seen"
    (folder / "ids.txt").write_text("ant/0.png\n")
    planned = falw("unlearn", "models/net.pt", "--forget", "ids.txt", "--dry-run", cwd=folder)
    assert planned.returncode == 0, planned.stderr


@pytest.mark.parametrize("data", ["alias/../seen", "far/seen"])
def test_paths_lead_to_the_data_through_links(
    folder: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    (folder / "far" / "store").mkdir(parents=True)
    (folder / "alias").symlink_to(folder / "far" / "store")
    monkeypatch.chdir(folder)
    assert _moved(f"imagefolder:{data}", Path("models")) == "imagefolder:../far/seen"


def test_a_checkpoint_with_complete_metadata(project: Path) -> None:
    (project / "falw.yaml").unlink()
    done = falw("init", "model.safetensors", "--data", "digits", cwd=project)
    assert done.returncode == 0, done.stderr
    content, _ = parse_yaml(project / "falw.yaml")
    assert content == {"data": "digits"}
    again = falw("init", "model.safetensors", "--data", "digits", cwd=project)
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_mismatched_outputs_and_folders_are_reported(folder: Path) -> None:
    torch.save(architectures.builder("tiny-cnn")(3, 3).state_dict(), folder / "net.pt")
    done = falw("init", "net.pt", *ASKED, cwd=folder)
    assert done.returncode == 2
    assert "the model has 3 outputs" in done.stderr
    assert "--classes FILE" in done.stderr
    (folder / "classes.txt").write_text("bee\nwasp\nant\n")
    done = falw("init", "net.pt", *ASKED, "--classes", "classes.txt", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert parse_yaml(folder / "falw.yaml")[0]["classes"] == ["bee", "wasp", "ant"]


def test_weights_of_an_unknown_architecture(folder: Path) -> None:
    torch.save({"w": torch.zeros(3, 3)}, folder / "net.pt")
    done = falw("init", "net.pt", *ASKED, "--arch", "resnet18", cwd=folder)
    assert done.returncode == 2
    assert "is not a resnet18" in done.stderr


@pytest.mark.slow
def test_torchvision_architectures_are_not_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("builder", "_shapes"):  # each network is built once
        monkeypatch.setattr(architectures, name, cache(getattr(architectures, name)))
    for name in ("vgg16_bn-cifar", "mobilenet_v3_large", "vit_b_16"):
        shapes = architectures._shapes(architectures.builder(name), 7, 3)
        assert architectures.recognise(shapes) == name
    assert architectures.recognise({"w": (3, 3)}) is None


@settings(max_examples=30)
@given(st.text(max_size=30))
def test_any_name_survives_the_yaml(name: str) -> None:
    import yaml

    if name.isprintable():
        line = _line("classes", [name, "b"], "of anyone\nat all")
        assert yaml.safe_load(line) == {"classes": [name, "b"]}


def test_a_torchvision_path_is_relative_to_the_file() -> None:
    moved = relative_to(Path("there"), {"data": "torchvision:MNIST:data"}, {"data": "data"})
    assert moved["data"] == "torchvision:MNIST:there/data"


def test_paths_are_relative_to_the_folder_that_a_link_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far" / "store").mkdir(parents=True)
    (tmp_path / "seen").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "far" / "store")
    monkeypatch.chdir(tmp_path)
    location = _moved("imagefolder:seen", Path("models")).partition(":")[2]
    assert (tmp_path / "models" / location).samefile(tmp_path / "seen")


def test_classes_come_from_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "names.txt").write_text("bee\n\nant\n")
    (folder / "falw.yaml").write_text("classes: names.txt\n")
    assert resolve("train", {}).classes == ("bee", "ant")
    done = falw(
        "train", "--arch", "tiny-cnn", "--data", "imagefolder:seen", "--epochs", "1",
        "--batch-size", "4", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bee, ant" in falw("inspect", "model.safetensors", cwd=folder).stdout
    shutil.rmtree(folder / "seen" / "ant")
    for text, said in (("bee\nbee\n", "names 'bee' twice"), ("", "is empty"), ("bee", "lacks")):
        (folder / "names.txt").write_text(text)
        asked = ("--data", "imagefolder:unseen", "--arch", "tiny-cnn", "--force")
        done = falw("train", *asked, cwd=folder)
        assert done.returncode == 2
        assert said in done.stderr
