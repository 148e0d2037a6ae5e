"""Train the networks for benchmarks/networks.py: originals, and retrained models of each list.

    python -m benchmarks.networks_train CIFAR WORK_FOLDER [--only NET ...] [--jobs 2]

CIFAR is a folder with train/ and test/ as images. For each original, two retrained models are
trained without a pool of 10 % (gamma 1). The lists of 1 to 100 samples, the hardest and the easiest
samples are drawn from that pool and share these two models. Each other list has two separate
retrained models. Existing networks are not trained again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from falw_cli.config.resolution import resolve
from falw_cli.data import forget_list, loading
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.run import train

OWN = "benchmarks.architectures:"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
ADAMW = {"optimizer": "adamw", "lr": 1e-3, "batch_size": 64, "weight_decay": 0.01}
POOL = "pool"
MISLABELLED = "mislabelled"
WHOLE_CLASS = "horse"
OTHERS = ("class", MISLABELLED)


@dataclass(frozen=True)
class Net:
    """A kind of network, and how it is trained."""

    arch: str
    train: dict[str, Any]
    per_class: int = 300
    """Training images of each class."""
    size: int | None = None
    seeds: tuple[int, ...] = (1,)
    every_seed: tuple[str, ...] = ()
    """Lists in addition to the pool, with separate retrained models."""
    first_seed: tuple[str, ...] = OTHERS
    """Further such lists, of the first seed alone."""
    shown: dict[str, Any] = field(default_factory=dict)


NETS = {
    "tiny-cnn, 30 epochs": Net(
        "tiny-cnn", {"epochs": 30}, 600, seeds=(1, 2, 3), every_seed=(MISLABELLED,),
        first_seed=("30 %", "class"),
    ),
    "EfficientNet-Lite0, fine-tuned": Net(
        f"{OWN}lite0", {**ADAMW, "epochs": 10}, 300, 64, seeds=(1, 2, 3),
        shown={**IMAGENET, "image_size": 64},
    ),
    "ViT, dropout, label smoothing": Net(
        f"{OWN}small_vit",
        {**ADAMW, "epochs": 30, "label_smoothing": 0.1, "weight_decay": 0.05},
    ),
    "ConvNeXt-atto": Net(f"{OWN}convnext_atto", {**ADAMW, "epochs": 15, "weight_decay": 0.05}),
    "narrow ResNet, crop and flip": Net(
        f"{OWN}narrow_resnet", {"epochs": 30, "crop": 4, "flip": True}
    ),
    "tiny-cnn, 16 epochs": Net(
        "tiny-cnn", {"epochs": 16}, 600, first_seed=("gamma-0", "gamma-2", "30 %", *OTHERS)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The folder of a network and a seed, with its lists."""

    cifar: Path
    folder: Path
    net: str
    seed: int

    @property
    def home(self) -> Path:
        """The folder."""
        plain = "".join(c if c.isalnum() else "-" for c in self.net)
        return self.folder / f"{plain}-{self.seed}"

    @property
    def kind(self) -> Net:
        """The kind of network."""
        return NETS[self.net]

    @property
    def lists(self) -> tuple[str, ...]:
        """Lists in addition to the pool, with separate retrained models."""
        first = self.seed == self.kind.seeds[0]
        return self.kind.every_seed + (self.kind.first_seed if first else ())

    def settings(self, *, mislabelled: bool = False) -> dict[str, Any]:
        """Return the settings of each command. Each seed takes different training images."""
        first = 1200 + (self.seed - 1) * self.kind.per_class
        every = {"heldout": [0, 400], "test": [400, 1000]}
        found: dict[str, Any] = {
            "arch": self.kind.arch, "train": self.kind.train,
            "heldout": f"imagefolder:{self.cifar}/test", "test": f"imagefolder:{self.cifar}/test",
            "data": f"imagefolder:{self.cifar}/train",
            "per_class": {"data": [first, first + self.kind.per_class], **every},
        }  # fmt: skip
        if self.kind.shown:
            found["preprocessing"] = self.kind.shown
        if mislabelled:
            found["data"] = f"csv:{self.home}/mislabelled.csv"
            found["per_class"] = every
        return found

    def ids(self, name: str) -> Path:
        """Return the file of a list."""
        return self.home / f"{name.replace(' ', '')}.txt"

    def original(self, name: str = "") -> Path:
        """Return the file of the original model."""
        return self.home / f"original{'-mislabelled' if name == MISLABELLED else ''}.safetensors"

    def retrain(self, name: str, number: int) -> Path:
        """Return the file of a model retrained without the list."""
        return self.home / f"retrain-{name.replace(' ', '')}-{number}.safetensors"


def places(cifar: Path, folder: Path, only: list[str] | None = None) -> Iterator[Place]:
    """Yield all networks of all seeds, the first seeds first."""
    for turn in range(max(len(net.seeds) for net in NETS.values())):
        for name, net in NETS.items():
            if turn < len(net.seeds) and (not only or name in only):
                yield Place(cifar, folder, name, net.seeds[turn])


def draw(place: Place) -> None:
    """Write the lists that have separate retrained models."""
    place.home.mkdir(parents=True, exist_ok=True)
    listing = loading.open_source(resolve("forget-list", place.settings()), "data")
    labels, ids = listing.labels, np.array(listing.ids)
    count = len(ids)

    def long_tailed(share: float, gamma: float) -> np.ndarray[Any, Any]:
        sizes = forget_list.tail_sizes(np.bincount(labels), round(count * share), gamma, place.seed)
        return ids[np.array(forget_list.draw(labels, sizes, place.seed))]

    whole = ids[labels == listing.classes.index(WHOLE_CLASS)]
    made = {
        POOL: long_tailed(0.1, 1), "gamma-0": long_tailed(0.1, 0), "gamma-2": long_tailed(0.1, 2),
        "30 %": long_tailed(0.3, 1), "class": whole,
        MISLABELLED: np.random.default_rng(place.seed).permutation(ids)[: count // 20],
    }  # fmt: skip
    for name in (POOL, *place.lists):
        lines = [str(place.cifar / "train" / i) if name == MISLABELLED else i for i in made[name]]
        place.ids(name).write_text("".join(f"{line}\n" for line in lines))
    if MISLABELLED in place.lists:
        _write_wrong(place, ids, labels, listing.classes, set(made[MISLABELLED].tolist()))


def _write_wrong(
    place: Place, ids: Any, labels: Any, classes: tuple[str, ...], wrong: set[str]
) -> None:
    """Write the training data as a CSV in which the listed samples have a wrong label."""
    random = np.random.default_rng(place.seed)
    with (place.home / "mislabelled.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label"])
        for name, label in zip(ids.tolist(), labels.tolist(), strict=True):
            moved = label + random.integers(1, len(classes)) if name in wrong else label
            rows.writerow([str(place.cifar / "train" / name), classes[moved % len(classes)]])


Job = tuple[Place, str, Path, int]


def jobs(place: Place) -> Iterator[Job]:
    """Yield (place, excluded list or "", output, random seed) of each network to train."""
    yield place, "", place.original(), place.seed
    for name in (POOL, *place.lists):
        if name == MISLABELLED:
            yield place, "+", place.original(name), place.seed
        for number in (1, 2):
            yield place, name, place.retrain(name, number), 10 * place.seed + number


def make(job: Job) -> None:
    """Train one network, unless it exists."""
    place, name, out, seed = job
    if out.exists():
        return
    torch.set_num_threads(1)
    wrong = name in ("+", MISLABELLED)
    flags = {**place.settings(mislabelled=wrong), "out": str(out), "seed": seed}
    if name not in ("", "+"):
        flags["without"] = str(place.ids(name))
    if wrong:
        flags["allow_outside"] = True
    done = train(resolve("train", flags, find=False), Silent(), Interrupt())
    print(
        f"{place.net}, {out.stem}: retain {done.retain_accuracy:.1f} %, unseen "
        f"{done.heldout_accuracy or 0:.1f} %, {done.seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Train all missing networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    todo = []
    for place in places(asked.cifar.resolve(), asked.folder.resolve(), asked.only):
        draw(place)
        todo += list(jobs(place))
    with ProcessPoolExecutor(asked.jobs) as pool:
        for _ in pool.map(make, todo):
            pass


if __name__ == "__main__":
    main()
