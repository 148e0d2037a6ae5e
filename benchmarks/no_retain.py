"""Unlearning without retain samples, against the default and retrained models: docs/no-retain.md.

    python -m benchmarks.no_retain CIFAR WORK_FOLDER [--only NET ...] [--lists LIST ...] [--page]

CIFAR and WORK_FOLDER are those of benchmarks/networks_train.py; the networks must be trained. The
run gets a CSV of the list and held-out data. Then the model is compared on all training data with
two retrained models. Each result is saved to WORK_FOLDER/no-retain.jsonl, and is not computed
again. `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import retrained
from benchmarks.networks_train import POOL, Place
from falw_cli import evaluate, unlearn

PAGE = Path(__file__).parents[1] / "docs" / "no-retain.md"
INTRO = Path(__file__).with_name("no_retain.intro.md")
NETS = ("tiny-cnn, 16 epochs", "narrow ResNet, crop and flip")
"""Networks by default."""
LISTS = {"list-hundred": "100 of two classes", POOL: "10 %, gamma 1"}
ARMS: dict[str, dict[str, Any]] = {"without retain samples": {"no_retain": True}, "default": {}}
UNSEEN = {"heldout": [0, 400], "test": [400, 600]}


def settings(place: Place) -> dict[str, Any]:
    """Return the settings of each command on all training data."""
    found = place.settings()
    found.pop("train")
    rows = found["per_class"]["data"]
    return {**found, "per_class": {"data": rows, **UNSEEN}, "allow_outside": True}


def alone(place: Place, ids: Path) -> str:
    """Write a CSV of the list alone, and return its SPEC."""
    file = ids.with_suffix(".alone.csv")
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "path", "label"])
        for name in ids.read_text().split():
            rows.writerow([name, place.cifar / "train" / name, name.partition("/")[0]])
    return f"csv:{file}"


def cell(place: Place, name: str, arm: str) -> dict[str, Any]:
    """Unlearn a list, and compare on all training data with the retrained models."""
    known, ids = settings(place), place.home / f"{name}.txt"
    out = place.home / f"{name}-{arm.partition(' ')[0]}.no-retain.safetensors"
    mine = dict(known)
    if ARMS[arm]:
        mine["data"] = alone(place, ids)
        mine["per_class"] = UNSEEN
    made = unlearn(
        str(place.original()), forget=str(ids), out=str(out), force=True, seed=place.seed,
        **mine, **ARMS[arm],
    )  # fmt: skip
    found = evaluate(
        str(out), forget=str(ids), original=str(place.original()), seed=place.seed,
        reference=[str(one) for one in retrained(place, name)], **known,
    )  # fmt: skip
    share = made.metrics.after.forgotten_share if made.metrics.after else None
    assert made.run is not None
    return {
        "net": place.net, "list": LISTS[name], "arm": arm, "steps": made.run.steps,
        "share": share.value if share else None, "floor": found.metrics.noise_floor,
        **{
            model: {key: getattr(metrics, key) for key in FIGURES}
            for model in ("before", "after", "reference")
            if (metrics := getattr(found.metrics, model))
        },
    }  # fmt: skip


FIGURES = (
    "forget_accuracy", "retain_accuracy", "test_accuracy", "mia_efficacy", "avg_gap",
)  # fmt: skip


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page."""
    lines = [INTRO.read_text().rstrip(), ""]
    for net in dict.fromkeys(row["net"] for row in rows):
        lines += [
            f"## {net}", "",
            "| list | model | forget accuracy | retain accuracy | test accuracy | MIA efficacy | "
            "Avg. Gap (floor) | forgotten share |",
            "|---|---|--:|--:|--:|--:|--:|--:|",
        ]  # fmt: skip
        for called in dict.fromkeys(row["list"] for row in rows if row["net"] == net):
            mine = [row for row in rows if (row["net"], row["list"]) == (net, called)]
            lines.append(_line(called, "original", mine[0]["before"]))
            for row in sorted(mine, key=lambda row: list(ARMS).index(row["arm"])):
                gap = f"{row['after']['avg_gap']:.2f} ({row['floor']:.2f})"
                share = "–" if row["share"] is None else f"{row['share']:.0f} %"
                lines.append(_line(called, row["arm"], row["after"], gap, share))
            lines.append(_line(called, "retrained", mine[0]["reference"], "–"))
        lines.append("")
    return "\n".join(lines)


def _line(called: str, model: str, of: dict[str, Any], gap: str = "", share: str = "–") -> str:
    figures = " | ".join(f"{of[key]:.1f}" for key in FIGURES[:4])
    return f"| {called} | {model} | {figures} | {gap or format(of['avg_gap'], '.2f')} | {share} |"


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=NETS)
    parser.add_argument("--lists", nargs="*", default=list(LISTS))
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    results = asked.folder / "no-retain.jsonl"
    rows = [json.loads(one) for one in results.read_text().splitlines()] if results.exists() else []
    known = {(row["net"], row["list"], row["arm"]) for row in rows}
    for net in () if asked.page else asked.only:
        place = Place(asked.cifar.resolve(), asked.folder.resolve(), net, 1)
        for name in asked.lists:
            for arm in ARMS:
                if (net, LISTS[name], arm) not in known:
                    rows.append(cell(place, name, arm))
                    print(json.dumps(rows[-1]), flush=True)
                    with results.open("a") as stream:
                        stream.write(json.dumps(rows[-1]) + "\n")
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
