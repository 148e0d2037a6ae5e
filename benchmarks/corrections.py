"""Removing wrong labels and a backdoor, measured on right labels: docs/corrections.md.

    python -m benchmarks.corrections CIFAR FOLDER

CIFAR is a folder with train/ and test/ as images. Two training sets are written to FOLDER, each
with a CSV that has the label that the model is trained on and the right one. What exists in FOLDER
is not computed again; then the page is written.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from falw_cli import evaluate, unlearn
from falw_cli.audit.report import Report
from falw_cli.config.resolution import resolve
from falw_cli.data.opening import open_listing
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.run import train

PAGE = Path(__file__).parents[1] / "docs" / "corrections.md"
PER_CLASS = 200
"""Training images of each class."""
NOISE, POISON = 0.05, 0.01
"""Share of mislabelled images, and of images with the trigger."""
TARGET = "airplane"
"""Label of the images with the trigger."""
PATCH = 4
"""Side of the trigger, a white square in the lower right corner, in pixels."""
NOT_LEARNED = (
    "In this run the original did not learn the trigger, so that nothing could be repaired: its "
    "attack success is near that of the retrained model."
)
Row = tuple[str, str, str]
"""Path, label and right label of an image."""


@dataclass(frozen=True)
class Example:
    """A training set with a list of wrong samples."""

    cifar: Path
    home: Path
    seed: int = 1

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of each command."""
        test = f"imagefolder:{self.cifar}/test"
        return {
            "arch": "tiny-cnn", "data": f"csv:{self.home}/train.csv", "heldout": test, "test": test,
            "per_class": {"heldout": [0, 200], "test": [200, 500]}, "allow_outside": True,
            "seed": self.seed,
        }  # fmt: skip

    def images(self, part: str, first: int, end: int) -> Iterator[tuple[Path, str]]:
        """Yield path and class of the images of each class from `first` to `end`."""
        listing = open_listing(f"imagefolder:{self.cifar}/{part}").of_each_class(first, end)
        for name, label in zip(listing.ids, listing.labels.tolist(), strict=True):
            yield self.cifar / part / name, listing.classes[label]

    def write(self, rows: list[Row], name: str = "train") -> None:
        """Write a CSV of images."""
        with (self.home / f"{name}.csv").open("w", newline="") as stream:
            out = csv.writer(stream)
            out.writerow(["path", "label", "truth"])
            out.writerows(rows)

    def mislabel(self) -> None:
        """Write the training set in which NOISE of the images have a wrong label."""
        random = np.random.default_rng(self.seed)
        known = list(self.images("train", 0, PER_CLASS))
        classes = sorted({label for _, label in known})
        wrong = set(random.permutation(len(known))[: round(NOISE * len(known))].tolist())
        rows = []
        for number, (path, label) in enumerate(known):
            others = [one for one in classes if one != label]
            given = str(random.choice(others)) if number in wrong else label
            rows.append((str(path), given, label))
        self.write(rows)
        self.list([row for number, row in enumerate(rows) if number in wrong])

    def poison(self) -> None:
        """Write the training set in which POISON of the images have the trigger and its label."""
        random = np.random.default_rng(self.seed)
        rows = [(str(path), label, label) for path, label in self.images("train", 0, PER_CLASS)]
        others = [number for number, row in enumerate(rows) if row[1] != TARGET]
        chosen = random.permutation(others)[: round(POISON * len(rows))].tolist()
        for number in chosen:
            path, label, _ = rows[number]
            rows[number] = (self.triggered(path, f"train-{number}"), TARGET, label)
        self.write(rows)
        self.list([rows[number] for number in chosen])
        unseen = [(p, label) for p, label in self.images("test", 200, 500) if label != TARGET]
        attacks = [
            (self.triggered(str(path), f"test-{number}"), TARGET, label)
            for number, (path, label) in enumerate(unseen[::3])
        ]
        self.write(attacks, "attack")

    def triggered(self, path: str, name: str) -> str:
        """Write a copy of an image with the trigger, and return its path."""
        image = Image.open(path).convert("RGB")
        image.paste((255, 255, 255), (image.width - PATCH, image.height - PATCH, *image.size))
        file = self.home / f"{name}.png"
        image.save(file)
        return str(file)

    def list(self, rows: list[Row]) -> None:
        """Write the forget list."""
        (self.home / "ids.txt").write_text("".join(f"{row[0]}\n" for row in rows))

    def model(self, name: str, **flags: Any) -> str:
        """Train a model, unless it exists."""
        out = self.home / f"{name}.safetensors"
        if not out.exists():
            recipe = {**self.settings, "train": {"epochs": 16}, "out": str(out), **flags}
            train(resolve("train", recipe, find=False), Silent(), Interrupt())
        return str(out)

    def run(self) -> Report:
        """Train, retrain and unlearn, and return the report."""
        report = self.home / "original.unlearned.audit.json"
        original, ids = self.model("original"), str(self.home / "ids.txt")
        retrained = self.model("retrained", without=ids, seed=self.seed + 10)
        if not report.exists():
            unlearn(
                original, forget=ids, reference=[retrained], correct="truth",
                **self.settings,
            )  # fmt: skip
        return Report.model_validate_json(report.read_text())

    def attack(self, name: str) -> float:
        """Return the share of triggered test images that a model assigns to TARGET, percent."""
        settings = {**self.settings, "test": f"csv:{self.home}/attack.csv"}
        settings["per_class"] = {"heldout": [0, 200]}
        found = evaluate(str(self.home / f"{name}.safetensors"), **settings).metrics.after
        assert found is not None
        assert found.test_accuracy is not None
        return found.test_accuracy


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    places = [asked.folder.resolve() / name for name in ("mislabelled", "backdoor")]
    noise, backdoor = (Example(asked.cifar.resolve(), home) for home in places)
    for example, fill in ((noise, noise.mislabel), (backdoor, backdoor.poison)):
        if not (example.home / "ids.txt").exists():
            example.home.mkdir(parents=True, exist_ok=True)
            fill()
    reports = noise.run(), backdoor.run()
    attacks = [backdoor.attack(one) for one in ("original", "original.unlearned", "retrained")]
    PAGE.write_text(page(*reports, attacks))


def page(noise: Report, backdoor: Report, attacks: list[float]) -> str:
    """Return the page."""
    success = f"| attack success | {attacks[0]:.1f} % | {attacks[1]:.1f} % | {attacks[2]:.1f} % |"
    return "\n".join(
        [
            "# Corrections: wrong labels and a backdoor",
            "",
            "Unlearning can repair a model that was trained on wrong samples, if you know which "
            "they are. Both examples train `tiny-cnn` for 16 epochs on "
            f"{10 * PER_CLASS:,} CIFAR-10 images and unlearn the wrong samples with",
            "",
            "```text",
            "falw unlearn original.safetensors --forget ids.txt --correct truth",
            "```",
            "",
            "`truth` is the column with the right labels ([how](lists.md#right-labels)). The "
            "retrained model was trained without the listed samples. One seed.",
            "",
            "**What to conclude:** unlearning wrong labels brings the model most of the way to the "
            "retrained one. It predicts fewer of the wrong labels and more of the right ones, and "
            "loses little accuracy on other samples. The backdoor shows something only if the "
            "original learned it: compare its attack success with that of the retrained model.",
            "",
            "Made by `python -m benchmarks.corrections CIFAR FOLDER`, on two CPU cores.",
            "",
            "## Wrong labels",
            "",
            f"{100 * NOISE:g} % of the images ({noise.forget.count}) have a random wrong label.",
            "",
            *_table(noise),
            "",
            "## A backdoor",
            "",
            f"{100 * POISON:g} % of the images ({backdoor.forget.count}) have a white square of "
            f"{PATCH} x {PATCH} pixels in the lower right corner and the label `{TARGET}`. The "
            "attack succeeds on a test image of another class if the model takes it for "
            f"`{TARGET}` once it has the square.",
            "",
            *_table(backdoor),
            success,
            "",
            *[NOT_LEARNED, ""][: 2 * (attacks[0] < attacks[2] + 10)],
        ]
    )


def _table(report: Report) -> list[str]:
    metrics, right = report.metrics, report.corrections
    assert right is not None
    assert right.before is not None
    models = (metrics.before, metrics.after, metrics.reference)
    shown = {"listed samples: right label": (right.before, right.after, *right.references)}
    lines = [
        "| | before | after | retrained |", "|---|--:|--:|--:|",
        *(
            f"| {name} | " + " | ".join(f"{one.value:.1f} %" for one in figures) + " |"
            for name, figures in shown.items()
        ),
    ]  # fmt: skip
    for name, label in (
        ("forget_accuracy", "listed samples: wrong label"),
        ("retain_accuracy", "other training samples"),
        ("test_accuracy", "test samples"),
    ):
        values = [getattr(one, name) for one in models]
        lines.append(f"| {label} | " + " | ".join(f"{one:.1f} %" for one in values) + " |")
    return lines


if __name__ == "__main__":
    main()
