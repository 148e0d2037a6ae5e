"""Models built and saved by a library without falw are unlearned, and load in that library."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from falw_cli.config.resolution import resolve
from falw_cli.data.device import place
from falw_cli.data.splits import Part
from falw_cli.errors import RequestError
from falw_cli.models.inputs import Inputs, open_inputs
from falw_cli.runtime.extras import need
from falw_cli.runtime.progress import Silent
from tests.conftest import falw
from tests.data.pictures import make_folder
from tests.engine import cpu

NAMES = ("ant", "bee", "cat")
Save = Callable[[Path], nn.Module]
Load = Callable[[Path], nn.Module]
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def timm_model(name: str, **arguments: Any) -> tuple[Save, Load]:
    """Return functions that save a timm model, and load it with timm only."""

    def save(folder: Path) -> nn.Module:
        timm = pytest.importorskip("timm")
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=3, **arguments)
        timm.models.save_for_hf(
            model, folder, safe_serialization=True, model_config={"label_names": list(NAMES)},
            data_config={"input_size": (3, 32, 32), "crop_pct": 1.0, "mean": MEAN, "std": STD},
        )  # fmt: skip
        return model.eval()

    def load(folder: Path) -> nn.Module:
        timm = pytest.importorskip("timm")
        model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
        return model.eval()

    return save, load


def transformers_model(kind: str, shard: str = "5GB", **settings: Any) -> tuple[Save, Load]:
    """Return functions that save a transformers model, and load it with transformers only."""

    def save(folder: Path) -> nn.Module:
        library = pytest.importorskip("transformers")
        torch.manual_seed(0)
        labels = dict(enumerate(NAMES))
        config = getattr(library, f"{kind}Config")(
            image_size=32, id2label=labels, label2id={v: k for k, v in labels.items()}, **settings
        )
        model = getattr(library, f"{kind}ForImageClassification")(config)
        model.save_pretrained(folder, max_shard_size=shard)
        shown: dict[str, Any] = {"image_mean": list(MEAN), "image_std": list(STD)}
        if kind == "ConvNext":
            library.ConvNextImageProcessor(
                size={"shortest_edge": 32}, crop_pct=1.0, **shown
            ).save_pretrained(folder)
        else:
            library.ViTImageProcessor(size={"height": 32, "width": 32}, **shown).save_pretrained(
                folder
            )
        return model.eval()

    def load(folder: Path) -> nn.Module:
        library = pytest.importorskip("transformers")
        model: nn.Module = library.AutoModelForImageClassification.from_pretrained(folder)
        return model.eval()

    return save, load


FOLDERS = {
    "timm resnet": timm_model("test_resnet"),
    "timm vit": timm_model("test_vit", img_size=32, patch_size=8),
    "timm convnext": timm_model("test_convnext"),
    "transformers vit, sharded": transformers_model(
        "ViT", "50KB", hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, patch_size=8,
    ),
    "transformers swin": transformers_model(
        "Swin", patch_size=2, embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=4
    ),
    "transformers convnext": transformers_model(
        "ConvNext", patch_size=2, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1]
    ),
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Images of three classes, seen and unseen, a forget list and a config.

    The models here are not trained, and so few images allow no conclusion from the accuracy.
    """
    for name, seed in (("seen", 0), ("unseen", 9000)):
        make_folder(tmp_path / name, dict.fromkeys(NAMES, 7), size=32, seed=seed)
    (tmp_path / "ids.txt").write_text("ant/0.png\nant/1.png\nbee/3.png\n")
    (tmp_path / "falw.yaml").write_text("data: imagefolder:seen\nheldout: imagefolder:unseen\n")
    return tmp_path


def opened(folder: Path, model: str) -> Inputs:
    """Open the inputs of a run as the command does."""
    flags = {"model": str(folder / model), "forget": str(folder / "ids.txt")}
    return open_inputs(resolve("evaluate", flags, folder / "falw.yaml"), Silent(), cpu())


def seen_by_falw(given: Inputs) -> tuple[Tensor, Tensor]:
    """Return the images that falw feeds the network, and its logits."""
    part: Part = given.splits.test
    samples = place(part, torch.device("cpu"))
    return given.network.inputs(torch.from_numpy(part.read())), given.network.predict(samples)


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of the library's own model."""
    with torch.no_grad():
        output = model(images)
    result: Tensor = output if isinstance(output, Tensor) else output.logits
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_unlearned_and_loads_in_its_library(data: Path, name: str) -> None:
    save, load = FOLDERS[name]
    original = save(data / "model")
    given = opened(data, "model")
    assert given.network.classes == NAMES
    assert given.network.preprocessing.mean == MEAN
    images, before = seen_by_falw(given)
    torch.testing.assert_close(before, logits(original, images), atol=1e-5, rtol=1e-5)

    asked = ("--batch-size", "6", "--epochs", "2", "--no-forgotten-gate")
    done = falw("unlearn", "model", "--forget", "ids.txt", *asked, cwd=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "model.unlearned"
    images, after = seen_by_falw(opened(data, "model.unlearned"))
    torch.testing.assert_close(
        logits(load(data / "model.unlearned"), images), after, atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(before, after, atol=1e-4)
    names = {file.name for file in (data / "model").iterdir()}
    assert {file.name for file in (data / "model.unlearned").iterdir()} == {*names, "falw.json"}
    assert falw("verify", "model.unlearned.audit.json", "--rerun", cwd=data).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm vit", "transformers swin"])
def test_shadow_models_and_teachers_are_built_by_the_library(data: Path, name: str) -> None:
    save, _ = FOLDERS[name]
    save(data / "model")
    with (data / "falw.yaml").open("a") as config:
        config.write("train: {epochs: 1, batch_size: 12, lr: 0.01}\n")
    (data / "ids.txt").write_text("".join(f"{c}/{n}.png\n" for c in NAMES for n in range(6)))
    asked = ("--forget", "ids.txt", "--batch-size", "6")
    done = falw("unlearn", "model", *asked, "--method", "bad-teacher", "--stop", "epochs",
                "--no-forgotten-gate", cwd=data)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = falw(
        "audit", "model.unlearned", "--forget", "ids.txt", "--shadow", "4", "--json", cwd=data
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["per_sample"]["models"] == 4
    assert any("does not say how it was trained" in text for text in report["warnings"])


def test_an_architecture_of_a_library_with_custom_settings(data: Path) -> None:
    pytest.importorskip("timm")
    with (data / "falw.yaml").open("a") as config:
        config.write(
            "arch: timm/vit_tiny_patch16_224\n"
            "arch_config: {img_size: 32, patch_size: 16, depth: 1}\n"
            "preprocessing: {image_size: 32}\ntrain: {epochs: 1, batch_size: 12}\n"
        )
    done = falw("train", cwd=data)
    assert done.returncode == 0, done.stderr
    (data / "falw.yaml").write_text("data: imagefolder:seen\nheldout: imagefolder:unseen\n")
    shown = falw("inspect", "model.safetensors", cwd=data).stdout
    assert "img_size 32" in shown
    done = falw("evaluate", cwd=data)
    assert done.returncode == 0, done.stderr


def plain(model: nn.Module) -> Any:
    """Return a bare state dict."""
    return model.state_dict()


def training(model: nn.Module) -> Any:
    """Return what a training script saves, including optimizer moments and averaged weights."""
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3, "model": {f"module.{k}": v for k, v in model.state_dict().items()},
        "optimizer": optimizer.state_dict(), "ema": model.state_dict(), "args": {"lr": 0.1},
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("spec", [plain, training])
def test_torch_files_keep_their_structure(data: Path, spec: Any) -> None:
    from falw_cli.models.architectures import builder

    torch.manual_seed(0)
    model = builder("tiny-cnn")(3, 3)
    torch.save(spec(model), data / "model.pt")
    asked = ("unlearn", "model.pt", "--forget", "ids.txt", "--arch", "tiny-cnn", "--batch-size",
             "6", "--no-forgotten-gate")  # fmt: skip
    done = falw(*asked, cwd=data)
    assert done.returncode == 0, done.stderr
    whole = torch.load(data / "model.unlearned.pt", weights_only=True)
    if spec is training:
        assert set(whole) == {"epoch", "model", "args"}  # moments and averages remember
        whole = {k.removeprefix("module."): v for k, v in whole["model"].items()}
    model.load_state_dict(whole)
    (data / "falw.yaml").write_text(
        "data: imagefolder:seen\nheldout: imagefolder:unseen\narch: tiny-cnn\n"
    )
    images, after = seen_by_falw(opened(data, "model.unlearned.pt"))
    torch.testing.assert_close(logits(model.eval(), images), after, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_checkpoint_of_lightning_loads_in_lightning(data: Path) -> None:
    lightning = pytest.importorskip("lightning")
    from falw_cli.models.architectures import builder

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, width: int = 3) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = builder("tiny-cnn")(width, 3)

        def training_step(self, batch: Any, index: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.rand(12, 3, 32, 32), torch.arange(12) % 3), 6
    )
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Module(), loader)
    trainer.save_checkpoint(data / "model.ckpt")
    asked = ("unlearn", "model.ckpt", "--forget", "ids.txt", "--arch", "tiny-cnn", "--batch-size",
             "6", "--no-forgotten-gate")  # fmt: skip
    done = falw(*asked, cwd=data)
    assert done.returncode == 0, done.stderr
    module = Module.load_from_checkpoint(data / "model.unlearned.ckpt", map_location="cpu")
    with (data / "falw.yaml").open("a") as config:
        config.write("arch: tiny-cnn\n")
    images, after = seen_by_falw(opened(data, "model.unlearned.ckpt"))
    torch.testing.assert_close(logits(module.net.eval(), images), after, atol=1e-5, rtol=1e-5)


class Evil:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch owned",)


def test_a_malicious_pickle_runs_nothing(data: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(1)}, "extra": Evil()}, data / "model.pt")
    refused = falw("inspect", "model.pt", cwd=data)
    assert refused.returncode == 2
    assert "it holds more than weights, which could run code" in refused.stderr
    assert "torch.save(model.state_dict(), FILE)" in refused.stderr
    assert not (data / "owned").exists()


def test_a_config_that_names_remote_code_runs_nothing(data: Path) -> None:
    pytest.importorskip("transformers")
    save, _ = FOLDERS["transformers convnext"]
    save(data / "model")
    file = data / "model" / "config.json"
    said = json.loads(file.read_text())
    said["auto_map"] = {"AutoModelForImageClassification": "evil.Model"}
    file.write_text(json.dumps(said))
    (data / "model" / "evil.py").write_text("open('owned', 'w')")
    refused = falw("inspect", "model", cwd=data)
    assert refused.returncode == 2
    assert "auto_map" in refused.stderr
    assert not (data / "owned").exists()


@pytest.mark.parametrize("name", ["../../secret.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_shards_must_be_beside_their_index(data: Path, name: str) -> None:
    pytest.importorskip("transformers")
    save, _ = FOLDERS["transformers vit, sharded"]
    save(data / "model")
    index = data / "model" / "model.safetensors.index.json"
    said = json.loads(index.read_text())
    said["weight_map"]["classifier.bias"] = name
    index.write_text(json.dumps(said))
    refused = falw("inspect", "model", cwd=data)
    assert refused.returncode == 2
    assert "put the shards beside it" in refused.stderr


def test_a_folder_never_holds_two_sets_of_weights(data: Path) -> None:
    pytest.importorskip("transformers")
    for name, kind in (("shards", "vit, sharded"), ("one", "convnext")):
        FOLDERS[f"transformers {kind}"][0](data / name)
    for source, out in (("one", "shards"), ("shards", "one")):
        before = {file: file.read_bytes() for file in (data / out).iterdir()}
        asked = ("unlearn", source, "--forget", "ids.txt", "--out", out, "--force")
        for command in (asked, ("convert", source, "--out", out, "--force")):
            refused = falw(*command, cwd=data)
            assert refused.returncode == 2, refused.stderr
            assert "exists, and --force would not replace it" in refused.stderr
        assert {file: file.read_bytes() for file in (data / out).iterdir()} == before
    (data / "shards" / "model.safetensors").write_bytes(b"{}")
    refused = falw("inspect", "shards", cwd=data)
    assert refused.returncode == 2
    assert "holds two sets of weights" in refused.stderr


def test_a_missing_library_is_named_with_its_command(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    with pytest.raises(RequestError, match="needs no_such_library") as refused:
        need("no_such_library", "timm", "architecture timm/x")
    assert refused.value.hint == "pip install 'falw[timm]'"


LABELS = dict(enumerate(NAMES))
VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}


def vit(folder: Path, *, processor: bool, **settings: Any) -> None:
    """Save a small ViT, with or without its processor."""
    library = pytest.importorskip("transformers")
    config = library.ViTConfig(**VIT, intermediate_size=16, **settings)
    library.ViTForImageClassification(config).save_pretrained(folder)
    if processor:
        library.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"problem_type": "multi_label_classification", "num_labels": 3}, "multi_label"),
     ({"problem_type": "regression", "num_labels": 3}, "problem_type 'regression'"),
     ({"num_labels": 1}, "has one output"),
     ({"num_channels": 4, "id2label": LABELS}, "images of 4 channels"),
     ({"num_channels": 1, "id2label": LABELS}, "3 means and 3 deviations, the model 1 channel")],
)  # fmt: skip
def test_heads_and_channels_that_do_not_fit_are_named(
    data: Path, settings: dict[str, Any], said: str
) -> None:
    vit(data / "model", processor=True, image_size=32, **settings)
    with pytest.raises(RequestError, match=said):
        opened(data, "model")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_without_a_processor_has_the_size_of_its_config(data: Path, channels: int) -> None:
    vit(data / "model", processor=False, image_size=48, num_channels=channels, id2label=LABELS)
    given = opened(data, "model")
    shown = given.network.preprocessing
    assert (shown.image_size, shown.resize, shown.squash) == (48, 48, True)
    assert shown.mean == ((0.485, 0.456, 0.406) if channels == 3 else (0.449,))
    assert given.source.notes == (
        "no preprocessor_config.json: the input size is 48 pixels, from config.json",
    )
    images, _ = seen_by_falw(given)
    assert images.shape[1:] == (channels, 48, 48)


def test_an_input_that_is_not_square_is_refused(data: Path) -> None:
    vit(data / "model", processor=False, image_size=[32, 48], num_labels=3)
    with pytest.raises(RequestError, match=r"image_size \[32, 48\] is not square"):
        opened(data, "model")


REPLACED = "preprocessing: {image_size: 32, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}\n"


@pytest.mark.parametrize(
    ("library", "change", "said"),
    [("transformers", {"do_flip_channel_order": True}, "do_flip_channel_order"),
     ("timm", {"crop_mode": "border"}, "crop_mode border")],
)  # fmt: skip
def test_preprocessing_in_the_config_replaces_what_cannot_be_applied(
    data: Path, library: str, change: dict[str, Any], said: str
) -> None:
    if library == "timm":
        FOLDERS["timm resnet"][0](data / "model")
        file = data / "model" / "config.json"
    else:
        vit(data / "model", processor=True, image_size=32, id2label=LABELS)
        file = data / "model" / "preprocessor_config.json"
    held = json.loads(file.read_text())
    (held["pretrained_cfg"] if library == "timm" else held).update(change)
    file.write_text(json.dumps(held))
    with pytest.raises(RequestError, match=said) as refused:
        opened(data, "model")
    assert "which replaces it" in refused.value.hint
    with (data / "falw.yaml").open("a") as config:
        config.write(REPLACED)
    assert opened(data, "model").network.preprocessing.mean == (0.5, 0.5, 0.5)
    shutil.copytree(data / "model", data / "original")
    (data / "original" / "config.json").write_text(
        (data / "model" / "config.json").read_text() + "\n"
    )
    compared = falw("evaluate", "model", "--forget", "ids.txt", "--original", "original", cwd=data)
    assert compared.returncode == 0, compared.stderr


@pytest.mark.parametrize(
    ("change", "sizes", "notes"),
    [({"crop_mode": "squash", "crop_pct": 0.7}, (32, 45, True), 0),
     ({"crop_mode": "center", "crop_pct": 0.7}, (32, 45, False), 0),
     ({"interpolation": "lanczos"}, (32, 32, False), 1)],
)  # fmt: skip
def test_crops_of_timm_are_applied(
    data: Path, change: dict[str, Any], sizes: tuple[int, int, bool], notes: int
) -> None:
    FOLDERS["timm resnet"][0](data / "model")
    file = data / "model" / "config.json"
    held = json.loads(file.read_text())
    held["pretrained_cfg"].update(change)
    file.write_text(json.dumps(held))
    given = opened(data, "model")
    shown = given.network.preprocessing
    assert (shown.image_size, shown.resize, shown.squash) == sizes
    assert len(given.source.notes) == notes
