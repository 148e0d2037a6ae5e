"""Requests in sequence, against retrained models and against one request: docs/requests.md.

    python -m benchmarks.requests CIFAR FOLDER [--net NET ...] [--seed 1] [--requests 10]
        [--share 0.01] [--per-class N]

CIFAR is a folder with train/ and test/ as images, NET a network of benchmarks/networks_train.py.
With `--net digits`, tiny-cnn and scikit-learn's digits are used, for a trial of the script. Each
request names the samples of one person, of few classes. Request k starts from the model of request
k - 1, with a ledger. After each, the model is compared with a model that was retrained
without all lists so far. At the end, one request with all IDs starts from the original. What exists
in FOLDER is not computed again. The tables of all networks in FOLDER are written to
docs/requests.md, except that of a trial. `--per-class` is the number of training images of each
class, by default as in docs/networks.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.networks_train import Place
from falw_cli import evaluate, unlearn
from falw_cli.audit.report import Report
from falw_cli.config.resolution import resolve
from falw_cli.data import loading
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.run import train

PAGE = Path(__file__).parents[1] / "docs" / "requests.md"
USUAL = ("tiny-cnn, 16 epochs", "narrow ResNet, crop and flip")
UNSEEN = {"heldout": [0, 200], "test": [400, 700]}
"""Test images of each class that guide, and that evaluate."""
TRIAL = "digits"
DIGITS = {"arch": "tiny-cnn", "data": "digits", "heldout": "digits", "train": {"epochs": 16}}
CONCENTRATION = 0.3
"""Of the Dirichlet distribution of a person's classes: most samples are of one to three classes."""
FINAL_REFERENCES = 2
"""Retrained models at the end, for the noise floor."""


@dataclass(frozen=True)
class Bench:
    """A sequence of requests in a folder."""

    folder: Path
    settings: dict[str, Any]
    requests: int
    share: float
    seed: int = 1

    @property
    def of_run(self) -> dict[str, Any]:
        """Settings without the training's."""
        return {key: value for key, value in self.settings.items() if key != "train"}

    def file(self, name: str) -> Path:
        """Return a file of the bench."""
        return self.folder / name

    def draw(self) -> None:
        """Write the list of each request, and the lists of all requests so far."""
        listing = loading.open_source(resolve("forget-list", self.of_run, find=False), "data")
        random = np.random.default_rng(self.seed)
        free, so_far = np.ones(len(listing.ids), dtype=bool), []
        count = max(1, round(self.share * len(listing.ids)))
        for number in range(1, self.requests + 1):
            mix = random.dirichlet(np.full(len(listing.classes), CONCENTRATION))
            weight = np.where(free, mix[listing.labels] + 1e-9, 0.0)
            rows = random.choice(len(weight), count, replace=False, p=weight / weight.sum())
            free[rows] = False
            mine = sorted(listing.ids[row] for row in rows)
            so_far += mine
            self.file(f"list-{number}.txt").write_text("\n".join(mine) + "\n")
            self.file(f"lists-{number}.txt").write_text("\n".join(sorted(so_far)) + "\n")

    def train(self, name: str, seed: int, without: str | None = None) -> Path:
        """Train a model, unless it exists."""
        out = self.file(f"{name}.safetensors")
        if not out.exists():
            flags = {**self.settings, "out": str(out), "seed": seed}
            flags |= {"without": str(self.file(without))} if without else {}
            train(resolve("train", flags, find=False), Silent(), Interrupt())
        return out

    def unlearn(self, model: str, ids: str, out: str, **more: Any) -> Report:
        """Unlearn a list, unless that was done."""
        report = self.file(f"{out}.audit.json")
        if not report.exists():
            unlearn(
                str(self.file(f"{model}.safetensors")), forget=str(self.file(ids)),
                out=str(self.file(f"{out}.safetensors")), seed=self.seed, **self.of_run, **more,
            )  # fmt: skip
        return Report.model_validate_json(report.read_text())

    def compare(self, model: str, number: int, references: int) -> Report:
        """Compare a model with those retrained without the lists of the first requests."""
        paths = [
            str(self.train(f"retrain-{number}-{one}", 100 * one + number, f"lists-{number}.txt"))
            for one in range(1, references + 1)
        ]
        report = self.file(f"{model}.compared.json")
        if not report.exists():
            evaluate(
                str(self.file(f"{model}.safetensors")), report=str(report), reference=paths,
                forget=str(self.file(f"lists-{number}.txt")),
                ledger=str(self.file("ledger.jsonl")), **self.of_run,
            )  # fmt: skip
        return Report.model_validate_json(report.read_text())

    def run(self) -> list[dict[str, Any]]:
        """Return one row per request, and a last one for one request with all IDs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.draw()
        self.train("model-0", self.seed)
        rows = []
        for number in range(1, self.requests + 1):
            made = self.unlearn(
                f"model-{number - 1}", f"list-{number}.txt", f"model-{number}",
                ledger=str(self.file("ledger.jsonl")),
            )  # fmt: skip
            last = number == self.requests
            found = self.compare(f"model-{number}", number, FINAL_REFERENCES if last else 1)
            rows.append(_row(str(number), made, found))
            print(json.dumps(rows[-1]), flush=True)
        made = self.unlearn("model-0", f"lists-{self.requests}.txt", "at-once")
        found = self.compare("at-once", self.requests, FINAL_REFERENCES)
        rows.append(_row("all at once", made, found))
        print(json.dumps(rows[-1]), flush=True)
        return rows


def _row(name: str, made: Report, found: Report) -> dict[str, Any]:
    after, reference = found.metrics.after, found.metrics.reference
    assert after is not None
    assert reference is not None
    answers = [
        one.remeasured.still_forgotten
        for one in (made.earlier.requests if made.earlier else [])
        if one.remeasured
    ]
    share = made.metrics.after.forgotten_share if made.metrics.after else None
    return {
        "request": name, "forgotten": found.forget.count, "gap": after.avg_gap,
        "floor": found.metrics.noise_floor, "test": after.test_accuracy,
        "test_retrain": reference.test_accuracy, "forget": after.forget_accuracy,
        "forget_retrain": reference.forget_accuracy, "share": share.value if share else None,
        "earlier": {one: answers.count(one) for one in ("yes", "cannot tell", "no")},
    }  # fmt: skip


INTRO = """# Requests in sequence

Ten requests of 1 % of the training data arrive one after the other. Each names the samples of one
person: most of them are of one to three classes. Request *k* starts from the model that request
*k* - 1 left behind, with a ledger. *Gap* is the Avg. Gap to a model that was retrained without all
lists so far, in points; the *floor* is the gap between two such models. The last row is one request
with all IDs, which starts from the original.

**What to conclude:** where the network had memorised the lists (tiny-cnn), every earlier list
stays forgotten. Test accuracy stays within a point of that after one request with all IDs. Ten
requests end 1.2 to 1.3 times as far from Retrain as that request (on the narrow ResNet at 2.1 and
1.6 points; two retrained models are 2.2 points apart there). Requests may come one after the other.

Each run lowers the confidence in some retain samples a little, and the next run takes the lowered
confidence for the original's. A run on an unlearned model therefore takes four times as many steps,
at a lower learning rate. For a short list, `match` also holds all logits of retain and held-out
samples, against changes in both directions: a loss that only counts fallen confidence lets that of
other samples rise, and draws the samples of earlier lists back to their labels. Without both, the
factor was 2.3 on tiny-cnn, seed 1, and 2.8 on the narrow ResNet. Tiny-cnn with seed 1 was used to
choose this, the other two were not. What did not help: a larger weight of the retain loss (the
lists are forgotten less), or the distribution of confidence of the first original as a target for
retain samples (it draws earlier lists back). No step may use the samples of earlier requests.

Made by `python -m benchmarks.requests CIFAR FOLDER` (with `--net` and `--seed` for the third
table), on two CPU cores.
"""


def page(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page, with one section per network."""
    lines = [INTRO]
    for name, rows in tables.items():
        lines += [
            f"## {name}", "",
            "| request | samples so far | gap (floor) | test accuracy, Retrain | forget accuracy, "
            "Retrain | forgotten share of its list | earlier lists: still forgotten, cannot tell, "
            "learned again |",
            "|---|--:|--:|--:|--:|--:|---|",
            *map(_line, rows), "", _conclusion(*rows[-2:]), "",
        ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _line(row: dict[str, Any]) -> str:
    floor = "" if row["floor"] is None else f" ({row['floor']:.2f})"
    share = "–" if row["share"] is None else f"{row['share']:.0f} %"
    answers = ", ".join(str(count) for count in row["earlier"].values())
    return (
        f"| {row['request']} | {row['forgotten']} | {row['gap']:.2f}{floor} | "
        f"{row['test']:.1f}, {row['test_retrain']:.1f} | "
        f"{row['forget']:.1f}, {row['forget_retrain']:.1f} | {share} | {answers} |"
    )


def _conclusion(last: dict[str, Any], at_once: dict[str, Any]) -> str:
    return (
        f"After the last request the gap is {last['gap']:.2f}. After one request with all IDs it "
        f"is {at_once['gap']:.2f}: a ratio of {last['gap'] / at_once['gap']:.2f}. Test accuracy "
        f"differs by {last['test'] - at_once['test']:+.1f} points."
    )


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--net", nargs="*", default=USUAL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--per-class", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.net:
        place = Place(asked.cifar.resolve(), asked.folder.resolve(), name, asked.seed)
        settings = dict(DIGITS) if name == TRIAL else place.settings()
        if name != TRIAL:
            first, count = settings["per_class"]["data"][0], asked.per_class or place.kind.per_class
            settings["per_class"] = {"data": [first, first + count], **UNSEEN}
        bench = Bench(place.home, settings, asked.requests, asked.share, asked.seed)
        title = f"{name}, seed {asked.seed}"
        bench.file("rows.json").write_text(json.dumps({"net": title, "rows": bench.run()}))
    saved = [json.loads(file.read_text()) for file in asked.folder.glob("*/rows.json")]
    tables = {one["net"]: one["rows"] for one in saved if not one["net"].startswith(TRIAL)}
    if tables:
        PAGE.write_text(page(dict(sorted(tables.items()))))


if __name__ == "__main__":
    main()
