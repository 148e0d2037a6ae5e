"""Checkpoints that libraries and scripts write, for docs/compatibility.md.

A case trains a small network on a few images with its library alone, saves it, and reads the
unlearned checkpoint back with that library.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel
from torchvision.transforms.functional import normalize, pil_to_tensor

from falw_cli.architectures import tiny_cnn

NAMES = ("ant", "bee", "cat", "dog")
SIZE = 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
Prepare = Callable[[Image.Image], Tensor]
Loaded = tuple[nn.Module, Prepare]
Train = Callable[[nn.Module], nn.Module]


def plain_prepare(image: Image.Image) -> Tensor:
    """Prepare an image as a plain training script does."""
    return normalize(pil_to_tensor(image).float() / 255, MEAN, STD)


@dataclass(frozen=True)
class Case:
    """A checkpoint of a library."""

    library: str
    """Name of the package."""
    file: str
    """Description of the file."""
    place: str
    """Name of the file or folder."""
    save: Callable[[Train, Path], None]
    """Build, train and save the model."""
    load: Callable[[Path], Loaded]
    """Load a checkpoint with the library alone."""
    flags: tuple[str, ...] = ()
    bare: bool = True
    """Whether the file lacks architecture and preprocessing, so that falw.yaml gives them."""


def _timm(name: str, **arguments: Any) -> tuple[Callable[[Train, Path], None], Any]:
    import timm

    def save(train: Train, place: Path) -> None:
        model = train(timm.create_model(name, num_classes=len(NAMES), **arguments))
        data = {"input_size": (3, SIZE, SIZE), "crop_pct": 1.0, "mean": MEAN, "std": STD}
        timm.models.save_for_hf(
            model, place, safe_serialization=True, data_config=data,
            model_config={"label_names": list(NAMES)},
        )  # fmt: skip

    def load(place: Path) -> Loaded:
        model = timm.create_model(f"local-dir:{place}", pretrained=True).eval()
        return model, timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    return save, load


def _timm_script(use_ema: bool) -> tuple[Callable[[Train, Path], None], Any]:
    """A checkpoint of timm's train.py, with averaged weights."""
    import timm

    def save(train: Train, place: Path) -> None:
        model = train(timm.create_model("test_resnet", num_classes=len(NAMES)))
        average = timm.utils.ModelEmaV3(model, decay=0.5)
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(1.01)
        average.update(model)
        saver = timm.utils.CheckpointSaver(
            model, torch.optim.AdamW(model.parameters()), model_ema=average,
            args=argparse.Namespace(model="test_resnet", lr=0.1, output=place.parent),
            checkpoint_dir=str(place.parent), recovery_dir=str(place.parent),
        )  # fmt: skip
        saver.save_checkpoint(0, metric=1.0)
        (place.parent / "last.pth.tar").rename(place)

    def load(place: Path) -> Loaded:
        model = timm.create_model("test_resnet", num_classes=len(NAMES))
        # The file also contains settings that are not plain types, so timm needs this, too.
        timm.models.load_checkpoint(model, str(place), use_ema=use_ema, weights_only=False)
        return model.eval(), plain_prepare

    return save, load


def _transformers(
    kind: str, shard: str = "5GB", trainer: bool = False, **settings: Any
) -> tuple[Callable[[Train, Path], None], Any]:
    import transformers

    def save(train: Train, place: Path) -> None:
        labels = dict(enumerate(NAMES))
        config = getattr(transformers, f"{kind}Config")(
            image_size=SIZE, id2label=labels, label2id={v: k for k, v in labels.items()},
            **settings,
        )  # fmt: skip
        model = train(getattr(transformers, f"{kind}ForImageClassification")(config))
        shown = {"image_mean": list(MEAN), "image_std": list(STD)}
        if kind == "ConvNext":
            processor = transformers.ConvNextImageProcessor(
                size={"shortest_edge": SIZE}, crop_pct=1.0, **shown
            )
        else:
            processor = transformers.ViTImageProcessor(
                size={"height": SIZE, "width": SIZE}, **shown
            )
        if trainer:
            _step_of_the_trainer(model, place)
        else:
            model.save_pretrained(place, max_shard_size=shard)
        processor.save_pretrained(place)

    def load(place: Path) -> Loaded:
        processor = transformers.AutoImageProcessor.from_pretrained(place)
        model = transformers.AutoModelForImageClassification.from_pretrained(place).eval()
        return model, lambda image: processor(image, return_tensors="pt")["pixel_values"][0]

    return save, load


def _step_of_the_trainer(model: nn.Module, place: Path) -> None:
    """Save a checkpoint of transformers' Trainer, after a step that changes nothing."""
    import transformers

    rows = [{"pixel_values": torch.rand(3, SIZE, SIZE), "labels": 0}] * 4
    arguments = transformers.TrainingArguments(
        str(place.parent / "out"), max_steps=1, learning_rate=0.0, report_to=[], use_cpu=True,
        disable_tqdm=True, save_steps=1,
    )  # fmt: skip
    transformers.Trainer(model, arguments, train_dataset=rows).train()
    (place.parent / "out" / "checkpoint-1").rename(place)


def _lightning(averaging: bool) -> tuple[Callable[[Train, Path], None], Any]:
    import lightning
    import torchmetrics

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        """A network with a metric whose state is saved, and class weights."""

        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net
            self.criterion = nn.CrossEntropyLoss(weight=torch.ones(len(NAMES)))
            self.train_acc = torchmetrics.Accuracy("multiclass", num_classes=len(NAMES))
            self.train_acc.persistent(mode=True)

        def training_step(self, batch: Any, index: int) -> Tensor:
            out = self.net(batch[0])
            self.train_acc(out, batch[1])
            return self.criterion(out, batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=0.0)

    def save(train: Train, place: Path) -> None:
        more = [lightning.pytorch.callbacks.EMAWeightAveraging(decay=0.9)] if averaging else []
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False, callbacks=more,
        )  # fmt: skip
        data = torch.utils.data.TensorDataset(torch.rand(4, 3, SIZE, SIZE), torch.arange(4))
        trainer.fit(Module(train(tiny_cnn(len(NAMES), 3))), torch.utils.data.DataLoader(data, 4))
        trainer.save_checkpoint(place)

    def load(place: Path) -> Loaded:
        module = Module.load_from_checkpoint(place, net=tiny_cnn(len(NAMES), 3), map_location="cpu")
        return module.net.eval(), plain_prepare

    return save, load


Whole = Callable[[nn.Module], Any]
Back = Callable[[Any], Any]


def _torch(
    whole: Whole,
    back: Back,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
    legacy: bool = False,
) -> tuple[Callable[[Train, Path], None], Any]:
    """A file of torch.save: `whole` makes its content, `back` finds the state dict in it.

    `wrap` makes the module that the state dict is of, from the network.
    """  # fmt: skip

    def save(train: Train, place: Path) -> None:
        model = train(tiny_cnn(len(NAMES), 3))
        content = whole(wrap(model) if wrap else model)
        torch.save(content, place, _use_new_zipfile_serialization=not legacy)

    def load(place: Path) -> Loaded:
        model = tiny_cnn(len(NAMES), 3)
        module = wrap(model) if wrap else model
        # The file contains settings that are not plain types. It is trusted: it was made above.
        module.load_state_dict(back(torch.load(place, weights_only=False)))
        return module.eval(), plain_prepare

    return save, load


class Wrapper(nn.Module):
    """A user-defined wrapper around a network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.backbone = net

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, S, S] -> [n, C]."""
        found: Tensor = self.backbone(images)
        return found


class Tied(nn.Module):
    """A network with one layer under two names."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 5, stride=2)
        self.stem = self.conv
        self.fc = nn.Linear(32 * 9, classes)

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, S, S] -> [n, C]."""
        found: Tensor = self.fc(nn.functional.adaptive_max_pool2d(self.stem(images), 3).flatten(1))
        return found


def tied(classes: int) -> nn.Module:
    """Return a network with a tied layer, for `--arch`."""
    return Tied(classes)


def _tied_safetensors() -> tuple[Callable[[Train, Path], None], Any]:
    from safetensors.torch import load_model, save_model

    def load(place: Path) -> Loaded:
        model = tied(len(NAMES))
        load_model(model, place)
        return model.eval(), plain_prepare

    return lambda train, place: save_model(train(tied(len(NAMES))), place), load


def _safetensors() -> tuple[Callable[[Train, Path], None], Any]:
    def load(place: Path) -> Loaded:
        model = tiny_cnn(len(NAMES), 3)
        model.load_state_dict(load_file(place))
        return model.eval(), plain_prepare

    return lambda train, place: save_file(train(tiny_cnn(len(NAMES), 3)).state_dict(), place), load


def _accelerate() -> tuple[Callable[[Train, Path], None], Any]:
    import accelerate

    def save(train: Train, place: Path) -> None:
        model = train(tiny_cnn(len(NAMES), 3))
        accelerate.Accelerator(cpu=True).save_model(model, str(place.parent / "saved"))
        (place.parent / "saved" / "model.safetensors").rename(place)

    def load(place: Path) -> Loaded:
        model = tiny_cnn(len(NAMES), 3)
        accelerate.load_checkpoint_in_model(model, str(place))
        return model.eval(), plain_prepare

    return save, load


def _torchvision() -> tuple[Callable[[Train, Path], None], Any]:
    import torchvision

    def build() -> nn.Module:
        model: nn.Module = torchvision.models.get_model("resnet18", num_classes=len(NAMES))
        return model

    def load(place: Path) -> Loaded:
        model = build()
        # The settings beside the weights are no plain types: torch asks for this, too.
        model.load_state_dict(torch.load(place, weights_only=False)["model"])
        return model.eval(), plain_prepare

    def save(train: Train, place: Path) -> None:
        beside = {"epoch": 3, "args": argparse.Namespace(model="resnet18", lr=0.1)}
        torch.save({"model": train(build()).state_dict(), **beside}, place)

    return save, load


def _masked(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels > 3:
            prune.l1_unstructured(layer, "weight", 0.3)
    return model


def _zeroed(model: nn.Module) -> nn.Module:
    for layer in _masked(model).modules():
        if prune.is_pruned(layer) and isinstance(layer, nn.Conv2d):
            prune.remove(layer, "weight")
    return model


def _state(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.state_dict())


def _example(model: nn.Module) -> dict[str, Any]:
    """The dictionary of PyTorch's ImageNet example."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return {
        "epoch": 3, "arch": "resnet18", "state_dict": model.state_dict(), "best_acc1": 71.0,
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict(),
    }  # fmt: skip


def _half(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}


def _omegaconf(model: nn.Module) -> dict[str, Any]:
    config = import_module("omegaconf").OmegaConf.create({"lr": 0.1, "net": {"name": "tiny"}})
    return {"model": model.state_dict(), "cfg": config}


VIT = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
       "intermediate_size": 96, "patch_size": 8}  # fmt: skip
TINY = ("--arch", "tiny-cnn")
BOTH = ("--weights", "ema")


def cases() -> list[Callable[[], Case]]:
    """Return functions that make the cases; one whose library is missing raises ImportError."""
    state: Back = lambda found: found["state_dict"]  # noqa: E731

    def one(
        library: str, file: str, place: str, make: Callable[[], Any], *flags: str,
        bare: bool = True,
    ) -> Callable[[], Case]:  # fmt: skip
        return lambda: Case(library, file, place, *make(), flags, bare)

    script = ("--arch", "timm/test_resnet")
    return [
        one("timm", "folder of save_for_hf: ResNet", "m", lambda: _timm("test_resnet"),
            bare=False),
        one("timm", "folder of save_for_hf: ViT", "m",
            lambda: _timm("test_vit", img_size=SIZE, patch_size=8), bare=False),
        one("timm", "folder of save_for_hf: ConvNeXt", "m", lambda: _timm("test_convnext"),
            bare=False),
        one("timm", "`.pth.tar` of train.py with `state_dict_ema`", "last.pth.tar",
            lambda: _timm_script(use_ema=True), *script),
        one("timm", "the same, `--weights ema`", "last.pth.tar",
            lambda: _timm_script(use_ema=True), *script, *BOTH),
        one("timm", "the same, `--weights raw`", "last.pth.tar",
            lambda: _timm_script(use_ema=False), *script, "--weights", "raw"),
        one("transformers", "folder: ViT, in shards", "m",
            lambda: _transformers("ViT", "50KB", **VIT), bare=False),
        one("transformers", "folder: Swin", "m", lambda: _transformers(
            "Swin", patch_size=2, embed_dim=24, depths=[1, 1], num_heads=[2, 2], window_size=4),
            bare=False),
        one("transformers", "folder: ConvNeXt", "m", lambda: _transformers(
            "ConvNext", patch_size=2, hidden_sizes=[16, 32, 64, 64], depths=[1, 1, 1, 1]),
            bare=False),
        one("transformers", "folder: ResNet", "m", lambda: _transformers(
            "ResNet", embedding_size=16, hidden_sizes=[16, 32, 64, 64], depths=[1, 1, 1, 1],
            layer_type="basic"), bare=False),
        one("transformers", "checkpoint folder of the Trainer", "m",
            lambda: _transformers("ViT", trainer=True, **VIT), bare=False),
        one("lightning", "`.ckpt` with a metric and class weights", "m.ckpt",
            lambda: _lightning(averaging=False), *TINY),
        one("lightning", "`.ckpt` of EMAWeightAveraging", "m.ckpt",
            lambda: _lightning(averaging=True), *TINY),
        one("lightning", "the same, `--weights ema`", "m.ckpt",
            lambda: _lightning(averaging=True), *TINY, *BOTH),
        one("accelerate", "`model.safetensors` of save_model", "m.safetensors", _accelerate, *TINY),
        one("torchvision", "`.pth` of the reference scripts: resnet18", "m.pth", _torchvision,
            "--arch", "resnet18"),
        one("safetensors", "save_file", "m.safetensors", _safetensors, *TINY),
        one("safetensors", "save_model: a tied layer", "m.safetensors", _tied_safetensors,
            "--arch", "benchmarks.compatibility_models:tied"),
        one("torch", "state dict, `.pt`", "m.pt", lambda: _torch(_state, lambda x: x), *TINY),
        one("torch", "state dict without a suffix", "weights",
            lambda: _torch(_state, lambda x: x), *TINY),
        one("torch", "state dict, format before 1.6", "m.pth",
            lambda: _torch(_state, lambda x: x, legacy=True), *TINY),
        one("torch", "state dict in half precision", "m.pt",
            lambda: _torch(_half, lambda x: x), *TINY),
        one("torch", "ImageNet example, DataParallel, `.pth.tar`", "m.pth.tar",
            lambda: _torch(_example, state, nn.DataParallel), *TINY),
        one("torch", "torch.compile (`_orig_mod.`)", "m.pt", lambda: _torch(
            lambda m: {f"_orig_mod.{k}": v for k, v in m.state_dict().items()},
            lambda found: {k.removeprefix("_orig_mod."): v for k, v in found.items()}), *TINY),
        one("torch", "own wrapper (`backbone.`)", "m.pt",
            lambda: _torch(_state, lambda x: x, Wrapper), *TINY),
        one("torch", "AveragedModel (SWA)", "m.pt", lambda: _torch(
            _state, lambda x: x, AveragedModel), *TINY),
        one("torch", "two sets: `model`, `model_ema`", "m.pt", lambda: _torch(
            lambda m: {"model": _state(m), "model_ema": {k: v * 1.01 if v.is_floating_point() else v
                                                         for k, v in _state(m).items()}},
            lambda found: found["model"]), *TINY),
        one("torch", "the same, `--weights raw`", "m.pt", lambda: _torch(
            lambda m: {"model": _state(m), "model_ema": {k: v * 1.01 if v.is_floating_point() else v
                                                         for k, v in _state(m).items()}},
            lambda found: found["model"]), *TINY, "--weights", "raw"),
        one("torch", "pruning masks (`weight_orig`, `weight_mask`)", "m.pt",
            lambda: _torch(_state, lambda x: x, _masked), *TINY),
        one("torch", "pruned: zeros", "m.pt", lambda: _torch(
            lambda m: _state(_zeroed(m)), lambda x: x), *TINY),
        one("torch", "layout of fastai: `model`, `opt`", "m.pth", lambda: _torch(
            lambda m: {"model": _state(m), "opt": torch.optim.Adam(m.parameters()).state_dict()},
            lambda found: found["model"]), *TINY),
        one("omegaconf", "weights and a config", "m.pt",
            lambda: _torch(_omegaconf, lambda found: found["model"]), *TINY),
    ]  # fmt: skip
