"""Architectures by name: shapes, class counts, and custom code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.models import architectures, checkpoint_files
from falw_cli.models.network import network_spec

QUICK = ["tiny-cnn", "resnet18-cifar", "vgg16_bn-cifar", "resnet18", "mobilenet_v3_small"]


@pytest.mark.parametrize("size", [8, 9, 15, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_cnn_takes_any_size(size: int, channels: int) -> None:
    model = architectures.tiny_cnn(7, channels).eval()
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)


@pytest.mark.parametrize("name", ["resnet18-cifar", "resnet34-cifar", "vgg16_bn-cifar"])
def test_cifar_stems_do_not_downsample(name: str) -> None:
    model = architectures.builder(name)(10, 3).eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    convolution = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    assert convolution.stride == (1, 1)


def test_a_network_without_a_convolution_has_the_channels_of_its_preprocessing() -> None:
    def build(classes: int, channels: int) -> torch.nn.Module:
        return torch.nn.Linear(4, classes)

    assert architectures.channel_count(build, {"weight": (2, 4)}) == 3
    assert architectures.channel_count(build, {"weight": (2, 4)}, 1) == 1


def check_counts(name: str) -> None:
    build = architectures.builder(name)
    shapes = architectures._shapes(build, 13, 3)
    assert architectures.class_count(build, shapes, 3) == 13
    assert architectures.channel_count(build, shapes) == 3


@pytest.mark.parametrize("name", QUICK)
def test_class_count_comes_from_the_checkpoint(name: str) -> None:
    check_counts(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in architectures.names() if n not in QUICK])
def test_every_classifier_of_torchvision(name: str) -> None:
    check_counts(name)


def test_counters_that_old_torch_did_not_write_are_not_needed() -> None:
    shapes = architectures._shapes(architectures.builder("resnet18"), 4, 3)
    bare = {name: shape for name, shape in shapes.items() if "num_batches" not in name}
    assert architectures.recognise(bare) == "resnet18"


def test_grey_nets_are_recognised() -> None:
    shapes = architectures._shapes(architectures.tiny_cnn, 10, 1)
    assert architectures.channel_count(architectures.tiny_cnn, shapes) == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [("ResNet-18", "resnet18"), ("VGG16-BN", "vgg16_bn"), ("vit-b-16", "vit_b_16")],
)
def test_spelling_variants_are_accepted(written: str, meant: str) -> None:
    assert architectures.canonical(written) == meant


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(RequestError) as caught:
        architectures.builder("resnet19")
    assert "resnet18" in caught.value.hint or "resnet1" in caught.value.hint


def test_custom_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_nets.py").write_text(
        "import torch\n"
        "def linear(n):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, n))\n"
        "def fixed(n):\n"
        "    return torch.nn.Linear(64, 3)\n"
        "def wrong(n):\n"
        "    return 5\n"
        "def breaks(n):\n"
        "    raise KeyError(n)\n"
    )
    torch.save(torch.nn.Linear(64, 3).state_dict(), tmp_path / "net.pt")
    (tmp_path / "no_python.py").write_text("def (\n")
    monkeypatch.chdir(tmp_path)
    assert architectures.builder("my_nets:linear")(4, 1)(torch.zeros(2, 1, 8, 8)).shape == (2, 4)
    with pytest.raises(RequestError, match=r"not a torch\.nn\.Module"):
        architectures.builder("my_nets:wrong")(4, 1)
    with pytest.raises(RequestError, match="cannot be imported") as caught:
        architectures.builder("my_nets:missing")
    assert "package.module:function" in caught.value.hint
    with pytest.raises(RequestError, match="cannot be imported") as caught:
        architectures.builder("elsewhere:net")
    assert "run in the folder of elsewhere" in caught.value.hint
    with pytest.raises(RequestError, match="no layer of my_nets:fixed depends on the number"):
        network_spec(Config(arch="my_nets:fixed"), checkpoint_files.read("net.pt"))
    with pytest.raises(RequestError, match="names a file") as caught:
        architectures.builder("nets/my_nets.py:linear")
    assert "nets.my_nets:linear" in caught.value.hint
    with pytest.raises(RequestError, match="unknown architecture") as caught:
        architectures.builder("my_nets")
    assert "package.module:function" in caught.value.hint
    with pytest.raises(RequestError, match="failed: KeyError"):
        architectures.builder("my_nets:breaks")(4, 1)
    with pytest.raises(RequestError, match="cannot be imported"):
        architectures.builder("no_python:net")


@pytest.mark.parametrize(("name", "size"), [("vit_b_32", 224), ("resnet18", None)])
def test_networks_of_a_fixed_input_size_say_it(name: str, size: int | None) -> None:
    assert architectures.input_size(lambda: architectures.builder(name)(2, 3)) == size


def test_the_input_size_of_timms_transformers() -> None:
    pytest.importorskip("timm")
    for name, said, size in (("vit_tiny_patch16_384", {}, 384),
                             ("vit_tiny_patch16_224", {"img_size": 64}, 64),
                             ("resnet10t", {}, None)):  # fmt: skip
        build = architectures.builder(f"timm/{name}", said)
        assert architectures.input_size(lambda build=build: build(2, 3)) == size  # type: ignore[misc]
