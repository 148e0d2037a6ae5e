"""Models and data of other libraries on CIFAR-10 images, through the command: docs/libraries.md.

    python benchmarks/libraries.py CIFAR_FOLDER

CIFAR_FOLDER holds CIFAR-10 as train/CLASS/ and test/CLASS/. Each model is trained on 200 images of
each class in a plain loop with its library only; 100 + 100 other images guide and judge. The
command unlearns a list of 10 % at gamma 1, and the library loads the output. On the judging images,
read and prepared by the library, its logits are compared with those of `falw evaluate`. Then the
same is done with the samples as Parquet files, a dataset saved to disk and tar shards, each made by
the library of the format.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import timm
import torch
import transformers
import webdataset
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import normalize, pil_to_tensor

from falw_cli.config.resolution import resolve
from falw_cli.data.device import place
from falw_cli.models import checkpoint_files
from falw_cli.models.architectures import builder
from falw_cli.models.inputs import open_inputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent

FALW = Path(sys.executable).with_name("falw")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
PARTS = {"seen": ("train", 0, 200), "guide": ("test", 0, 100), "judge": ("test", 100, 200)}
Prepare = Callable[[Image.Image], Tensor]
Loaded = tuple[nn.Module, Prepare]


class Timm:
    """A model of timm."""

    def __init__(self, name: str, **arguments: Any) -> None:
        self.name, self.arguments, self.place = name, arguments, "model"

    def build(self, classes: list[str]) -> nn.Module:
        """Build a new model."""
        return timm.create_model(self.name, num_classes=len(classes), **self.arguments)

    def save(self, model: nn.Module, classes: list[str]) -> None:
        """Save the model as timm does for a hub."""
        data = {"input_size": (3, 32, 32), "crop_pct": 1.0, "mean": MEAN, "std": STD}
        timm.models.save_for_hf(
            model, self.place, safe_serialization=True, data_config=data,
            model_config={"label_names": classes},
        )  # fmt: skip

    def load(self, path: str) -> Loaded:
        """Load the model and the transform with timm."""
        model = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
        return model, timm.data.create_transform(**timm.data.resolve_model_data_config(model))


class Transformers:
    """A model of transformers."""

    def __init__(self, kind: str, shard: str = "5GB", **settings: Any) -> None:
        self.kind, self.shard, self.settings, self.place = kind, shard, settings, "model"

    def build(self, classes: list[str]) -> nn.Module:
        """Build a new model."""
        labels = dict(enumerate(classes))
        config = getattr(transformers, f"{self.kind}Config")(
            image_size=32, id2label=labels, label2id={v: k for k, v in labels.items()},
            **self.settings,
        )  # fmt: skip
        return getattr(transformers, f"{self.kind}ForImageClassification")(config)

    def save(self, model: nn.Module, classes: list[str]) -> None:
        """Save the model with its image processor."""
        model.save_pretrained(self.place, max_shard_size=self.shard)
        shown = {"image_mean": list(MEAN), "image_std": list(STD)}
        if self.kind == "ConvNext":
            processor = transformers.ConvNextImageProcessor(
                size={"shortest_edge": 32}, crop_pct=1.0, **shown
            )
        else:
            processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32}, **shown)
        processor.save_pretrained(self.place)

    def load(self, path: str) -> Loaded:
        """Load the model and the transform with transformers."""
        processor = transformers.AutoImageProcessor.from_pretrained(path)
        model = transformers.AutoModelForImageClassification.from_pretrained(path).eval()
        return model, lambda image: processor(image, return_tensors="pt")["pixel_values"][0]


def plain_prepare(image: Image.Image) -> Tensor:
    """Prepare an image as a plain training script does."""
    return normalize(pil_to_tensor(image).float() / 255, MEAN, STD)


class Plain:
    """A state dict in a training dictionary."""

    place = "model.pt"

    def build(self, classes: list[str]) -> nn.Module:
        """Build a new model."""
        return builder("tiny-cnn")(len(classes), 3)

    def save(self, model: nn.Module, classes: list[str]) -> None:
        """Save the model as a training script does."""
        torch.save({"model": model.state_dict(), "epoch": 1}, self.place)

    def load(self, path: str) -> Loaded:
        """Load the model with torch's weights-only loader."""
        model = self.build(list("0123456789"))
        model.load_state_dict(torch.load(path, weights_only=True)["model"])
        return model.eval(), plain_prepare


class Lightning(Plain):
    """A checkpoint of Lightning's trainer."""

    place = "model.ckpt"

    def module(self, net: nn.Module) -> Any:
        """Return a Lightning module class around a network."""
        import lightning

        class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.net = net

            def training_step(self, batch: Any, index: int) -> Tensor:
                return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.AdamW(self.parameters(), lr=0.0)

        return Module

    def save(self, model: nn.Module, classes: list[str]) -> None:
        """Save the model with the trainer, after a step that changes nothing."""
        import lightning

        data = torch.utils.data.TensorDataset(torch.rand(4, 3, 32, 32), torch.arange(4))
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(self.module(model)(), torch.utils.data.DataLoader(data, 4))
        trainer.save_checkpoint(self.place)

    def load(self, path: str) -> Loaded:
        """Load the model with Lightning."""
        module = self.module(self.build(list("0123456789")))
        loaded = module.load_from_checkpoint(path, map_location="cpu")
        return loaded.net.eval(), plain_prepare


SMALL = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 3,
         "intermediate_size": 384}  # fmt: skip
MODELS: dict[str, Any] = {
    "timm resnet18": Timm("resnet18"),
    "timm vit_tiny": Timm("vit_tiny_patch16_224", img_size=32, patch_size=8),
    "timm convnext_atto": Timm("convnext_atto"),
    "transformers ViT, in shards of 500 kB": Transformers("ViT", "500KB", patch_size=8, **SMALL),
    "transformers Swin": Transformers(
        "Swin", patch_size=2, embed_dim=48, depths=[2, 2], num_heads=[3, 6], window_size=4
    ),
    "transformers ConvNeXt": Transformers(
        "ConvNext", patch_size=4, hidden_sizes=[32, 64, 128, 256], depths=[2, 2, 2, 2]
    ),
    "a plain .pt": Plain(),
    "Lightning": Lightning(),
}

RATES = {"transformers ConvNeXt": "0.005"}
"""Learning rates of models for which falw refuses 0.02, because of `--max-utility-loss`."""


def command(*arguments: str) -> str:
    """Run falw, and return its stdout."""
    done = subprocess.run([str(FALW), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"falw {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def lay_out(source: Path) -> list[str]:
    """Copy the images of each part here, write a forget list, and return the classes."""
    for part, (kind, begin, end) in PARTS.items():
        for label in sorted((source / kind).iterdir()):
            there = Path(part, label.name)
            there.mkdir(parents=True)
            for image in sorted(label.iterdir())[begin:end]:
                shutil.copy(image, there)
    ask = ("forget-list", "--data", "imagefolder:seen", "--ratio", "0.1", "--gamma", "1", "-q")
    Path("ids.txt").write_text(command(*ask))
    return sorted(folder.name for folder in Path("seen").iterdir())


def write_config(one: Any) -> None:
    """Write a falw.yaml with the data and the settings that the checkpoint lacks."""
    lines = ["data: imagefolder:seen", "heldout: imagefolder:guide", "test: imagefolder:judge"]
    if isinstance(one, Plain):
        lines += ["arch: tiny-cnn", f"preprocessing: {{mean: {list(MEAN)}, std: {list(STD)}}}"]
    Path("falw.yaml").write_text("\n".join(lines))


def opened(part: str, prepare: Prepare) -> tuple[Tensor, Tensor]:
    """Return the images of a part as a library prepares them, and their classes."""
    files = sorted(Path(part).rglob("*.jpg"))
    names = sorted({file.parent.name for file in files})
    images = torch.stack([prepare(Image.open(file).convert("RGB")) for file in files])
    return images, torch.tensor([names.index(file.parent.name) for file in files])


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of a model of any library."""
    output = model(images)
    return output if isinstance(output, Tensor) else output.logits


def train(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Train in a plain loop until the model knows its training data."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    for _ in range(15):
        right = 0
        for rows in torch.randperm(len(labels)).split(50):
            optimizer.zero_grad()
            found = logits(model, images[rows])
            nn.functional.cross_entropy(found, labels[rows]).backward()
            optimizer.step()
            right += int((found.argmax(1) == labels[rows]).sum())
        if right > 0.98 * len(labels):
            break


def row(name: str, one: Any, classes: list[str]) -> str:
    """Train, save, unlearn, load and compare; return a row of the table."""
    torch.manual_seed(0)
    model = one.build(classes)
    train(model, *opened("seen", plain_prepare))
    one.save(model.eval(), classes)
    write_config(one)
    ask = ("unlearn", one.place, "--forget", "ids.txt", "--json", "-q")
    report = json.loads(command(*ask, "--lr", RATES.get(name, "0.02")))
    out = report["output"]["path"]
    again, prepare = one.load(out)
    images, _ = opened("judge", prepare)
    flags = {"model": out, "forget": "ids.txt"}
    config = resolve("evaluate", flags, Path("falw.yaml"))
    given = open_inputs(config, Silent(), make_fabric(config))
    ours = given.network.predict(place(given.splits.test, torch.device("cpu")))
    with torch.no_grad():
        theirs = logits(again, images)
        same = logits(again, given.network.inputs(torch.from_numpy(given.splits.test.read())))
    off = [float((ours - one).abs().max()) for one in (same, theirs)]
    command("verify", f"{Path(out).stem if Path(out).is_file() else out}.audit.json")
    for path in (one.place, out):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    for path in Path().glob("*.audit.json"):
        path.unlink()
    cells = []
    for key in ("forget_accuracy", "retain_accuracy", "test_accuracy"):
        before, after = (report["metrics"][when][key] for when in ("before", "after"))
        cells.append(f"{before:.1f} → {after:.1f}")
    return f"| {name} | {' | '.join(cells)} | {off[0]:.1e} | {off[1]:.1e} |"


def containers(classes: list[str]) -> list[str]:
    """Unlearn the same samples in each format; return rows with digests of the results."""
    for part in PARTS:
        files = sorted(Path(part).rglob("*.jpg"), key=lambda f: f.relative_to(part).as_posix())
        rows = {
            "image": [{"bytes": file.read_bytes(), "path": None} for file in files],
            "label": [classes.index(file.parent.name) for file in files],
        }
        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=classes)}
        )
        made = datasets.Dataset.from_dict(rows, features=features)
        made.to_parquet(f"{part}.parquet")
        made.save_to_disk(f"{part}.hf")
        Path(f"{part}.shards").mkdir()
        with webdataset.ShardWriter(f"file:{part}.shards/%03d.tar", maxcount=800) as writer:
            for file in files:
                key = file.relative_to(part).with_suffix("").as_posix()
                label = classes.index(file.parent.name)
                writer.write({"__key__": key, "jpg": file.read_bytes(), "cls": str(label)})
    chosen = Path("ids.txt").read_text().split()
    places = {file: row for row, file in enumerate(
        sorted(file.relative_to("seen").as_posix() for file in Path("seen").rglob("*.jpg"))
    )}  # fmt: skip
    Path("falw.yaml").unlink()
    command("train", "--arch", "tiny-cnn", "--data", "imagefolder:seen", "--epochs", "8", "-q")
    lines = []
    kinds = {"imagefolder": "", "parquet": ".parquet", "hf": ".hf", "webdataset": ".shards"}
    for kind, end in kinds.items():
        ids = [str(places[name]) for name in chosen]
        if kind in ("imagefolder", "webdataset"):
            ids = [name if kind == "imagefolder" else name.removesuffix(".jpg") for name in chosen]
        Path(f"{kind}.txt").write_text("\n".join(ids))
        sources = [
            text for flag, part in (("--data", "seen"), ("--heldout", "guide"), ("--test", "judge"))
            for text in (flag, f"{kind}:{part}{end}")
        ]  # fmt: skip
        ask = ("unlearn", "model.safetensors", "--forget", f"{kind}.txt", "--force", "--json", "-q")
        report = json.loads(command(*ask, *sources))
        metrics = json.dumps(report["metrics"], sort_keys=True).encode()
        digest = hashlib.sha256(metrics).hexdigest()
        found = checkpoint_files.read(report["output"]["path"]).tensors
        # Of the weights alone: the metadata has the digest of the list, whose IDs differ.
        weights = hashlib.sha256(b"".join(found[name].numpy().tobytes() for name in sorted(found)))
        lines.append(f"| `{kind}:` | `{digest[:16]}…` | `{weights.hexdigest()[:16]}…` |")
    return lines


def main() -> None:
    """Measure every model and every container, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    source = parser.parse_args().cifar.resolve()
    page = Path(__file__).parents[1] / "docs" / "libraries.md"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        classes = lay_out(source)
        lines = []
        for name, one in MODELS.items():
            try:
                lines.append(row(name, one, classes))
            except ModuleNotFoundError as error:
                lines.append(f"| {name} | not run: {error} | | | | |")
            sys.stderr.write(lines[-1] + "\n")
        same = containers(classes)
    libraries = ("torch", "timm", "transformers", "datasets", "webdataset")
    names = ", ".join(f"{name} {version(name)}" for name in libraries)
    page.write_text(INTRO.format(machine=platform.machine(), cores=os.cpu_count(), names=names,
                                 lines="\n".join(lines), same="\n".join(same)))  # fmt: skip
    sys.stdout.write(page.read_text())


INTRO = """# Models and data of other libraries

Made by `python benchmarks/libraries.py CIFAR_FOLDER` on {machine}, {cores} cores, CPU:
{names}.

Each model was built, trained on 2,000 CIFAR-10 images and saved by its library alone;
`falw unlearn --lr 0.02` (0.005 for ConvNeXt of transformers) forgot 200 of them; the library alone
loaded what was written. *Off* is the largest difference between its logits on the 1,000 judging
images and those that `falw evaluate` measures: of the very tensors that falw feeds it, and of the
files as the library itself reads and prepares them (transformers scales and normalises in one go,
which rounds otherwise). Trained from scratch for 15 epochs at most, ViT and Swin know little, and
have little to forget.

| model | forget, percent | retain | test | off, same tensors | off, library's own |
|---|---|---|---|---|---|
{lines}

The same samples as the library that owns each format wrote them: digests of the report's metrics
and of the unlearned weights.

| data | metrics | weights |
|---|---|---|
{same}
"""


if __name__ == "__main__":
    main()
