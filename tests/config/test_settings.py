"""The config: precedence, and errors that name the file, the line and the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.config.resolution import find_file, resolve
from falw_cli.config.settings import Config
from falw_cli.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flag_over_file_over_metadata_over_default(folder: Path) -> None:
    (folder / "falw.yaml").write_text("seed: 5\nunlearn: {lr: 0.5, tau: 0.2}\n")
    config = resolve("unlearn", {"lr": 0.25})
    assert (config.seed, config.unlearn.lr, config.unlearn.tau) == (5, 0.25, 0.2)
    settled = config.over({"seed": 9, "arch": "resnet18", "unlearn": {"tau": 1.0, "flip": True}})
    assert (settled.seed, settled.arch) == (5, "resnet18")
    assert (settled.unlearn.tau, settled.unlearn.flip, settled.unlearn.momentum) == (0.2, True, 0.9)


def test_flags_belong_to_their_commands_section(folder: Path) -> None:
    assert resolve("train", {"epochs": 3}).train.epochs == 3
    assert resolve("unlearn", {"epochs": 3}).unlearn.epochs == 3
    assert resolve("unlearn", {"epochs": 3}).train.epochs == Config().train.epochs


def test_a_config_beside_the_model_wins_over_the_working_folder(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "falw.yaml").write_text("seed: 1\n")
    assert find_file("there/model.safetensors") == Path("falw.yaml")
    (folder / "there" / "falw.yaml").write_text("seed: 2\n")
    assert resolve("unlearn", {"model": "there/model.safetensors"}).seed == 2


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    (folder / "there").mkdir()
    file = folder / "there" / "a.yaml"
    file.write_text(
        "data: imagefolder:train\nheldout: digits\nforget: ids.txt\nreference: [r.safetensors]\n"
    )
    config = resolve("evaluate", {}, file)
    assert config.data == f"imagefolder:{folder}/there/train"
    assert config.heldout == "digits"
    assert config.forget == f"{folder}/there/ids.txt"
    assert config.reference == (f"{folder}/there/r.safetensors",)


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("arch: tiny-cnn\nsede: 1\n", r"falw\.yaml line 2: unknown key 'sede'", "'seed'"),
        ("unlearn:\n  label_smoothing: 0.5\n", r"unknown key 'label_smoothing'", "known keys"),
        ("unlearn:\n  lr: 0.1\n  epoch: 3\n", r"line 3: unknown key 'epoch'", "'epochs'"),
        ("unlearn:\n  lr: -1\n", r"line 2: .*greater than 0", "lr"),
        ("train:\n  schedule: stairs\n", r"line 2: .*'step'", "schedule"),
        ("unlearn:\n  method: random-lable\n", "unknown method", "random-label"),
        ("seed: [\n", "line 2", "YAML"),
        ("seed: 1\nseed: 2\n", "line 2: seed is already set in line 1", "delete"),
        ("unlearn:\n  lr: 1\n  lr: 2\n", "line 3: lr is already set in line 2", "delete"),
        ("- a\n", "no settings", "arch"),
        ("force: true\n", "line 1: force cannot be set in a file", "--force"),
        ("arch: evil:payload\n", "asks to import code", "--trust-code"),
    ],
)
def test_errors(folder: Path, content: str, message: str, hint: str) -> None:
    (folder / "falw.yaml").write_text(content)
    with pytest.raises(RequestError, match=message) as caught:
        resolve("unlearn", {})
    assert hint in caught.value.hint


def test_code_is_allowed_where_the_user_names_it(folder: Path) -> None:
    file = folder / "falw.yaml"
    file.write_text("arch: my.nets:net\n")
    assert resolve("unlearn", {}, file).arch == "my.nets:net"
    assert resolve("unlearn", {"trust_code": True}).arch == "my.nets:net"
    assert resolve("unlearn", {"arch": "resnet18"}).arch == "resnet18"
    assert resolve("unlearn", {"arch": "other:net", "config": None}, file).arch == "other:net"


@pytest.mark.parametrize("flags", [{"lr": float("nan")}, {"epochs": 0}, {"device": "tpu"}])
def test_flags_out_of_range(folder: Path, flags: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=f"--{next(iter(flags))}"):
        resolve("unlearn", flags)


@pytest.mark.parametrize("key", ["unlearn: {lr", "unlearn: {epochs", "train: {momentum"])
def test_true_is_no_number(tmp_path: Path, key: str) -> None:
    file = tmp_path / "falw.yaml"
    file.write_text(f"{key}: true}}\n")
    with pytest.raises(RequestError, match="should not be true or false"):
        resolve("unlearn", {}, file)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("method: match", "write method below `unlearn:`"),
        ("epochs: 3", "write epochs below `train:` or below `unlearn:`"),
        ("label_smoothing: 0.1", "write label_smoothing below `train:`"),
        ("mean: [0.5]", "write mean below `preprocessing:`"),
        ("unlearn: {device: cpu}", "write device at the left, outside all sections"),
    ],
)
def test_a_key_at_another_place_is_told_where_it_belongs(folder: Path, key: str, hint: str) -> None:
    (folder / "falw.yaml").write_text(f"{key}\n")
    with pytest.raises(RequestError, match="line 1: unknown key") as refused:
        resolve("unlearn", {})
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("flag", "written", "meant"),
    [
        ("lr", "Auto", "auto"), ("stop", "EPOCHS", "epochs"), ("device", "CUDA:1", "cuda:1"),
        ("device", "Mps", "mps"), ("precision", "FP32", "fp32"), ("target", "Exact", "exact"),
    ],
)  # fmt: skip
def test_choices_may_have_capitals(folder: Path, flag: str, written: str, meant: str) -> None:
    config = resolve("unlearn", {flag: written})
    assert getattr(config if hasattr(config, flag) else config.unlearn, flag) == meant


@pytest.mark.parametrize("device", ["gpu", "cuda0", "cuda:", "GPU:0", "xpu", "mps:0"])
def test_an_unknown_device_is_refused_with_the_known_ones(folder: Path, device: str) -> None:
    with pytest.raises(RequestError, match="auto, cpu, cuda, cuda:N or mps"):
        resolve("unlearn", {"device": device})


@pytest.mark.parametrize("key", ["out", "report", "ledger"])
def test_the_config_file_is_no_output(folder: Path, key: str) -> None:
    file = folder / "own.yaml"
    file.write_text("seed: 1\n")
    with pytest.raises(RequestError, match=f"--{key} .*own.yaml is the config file"):
        resolve("unlearn", {key: str(folder / "." / "own.yaml")}, file)


def test_words_are_known_in_any_case(folder: Path) -> None:
    words = {
        "lr": "Auto",
        "method": "Match",
        "weighting": "FALW",
        "device": "CPU",
        "stop": "Epochs",
    }
    config = resolve("unlearn", words | {"device": "CPU"})
    assert config.device == "cpu"
    found = config.unlearn
    assert (found.lr, found.method, found.weighting, found.stop) == (
        "auto", "match", "falw", "epochs",
    )  # fmt: skip
    with pytest.raises(RequestError) as caught:
        resolve("unlearn", {"device": "GPU"})
    assert "auto, cpu, cuda, cuda:N or mps (got 'GPU')" in str(caught.value)
