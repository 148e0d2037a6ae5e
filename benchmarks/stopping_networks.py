"""Quality of `--stop auto` of the default, on several networks: a section of docs/stopping.md.

    python -m benchmarks.stopping_networks CIFAR WORK_FOLDER

Run benchmarks/networks_train.py first; it trains the networks and two retrained models of each.
Each run continues to the end of its schedule and records its Avg. Gap at every evaluation
(`unlearn.trace`). Runs that are in WORK_FOLDER/stopping.jsonl are not repeated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.agreement import CALLED
from benchmarks.networks import request, retrained
from benchmarks.networks_train import POOL, Place
from falw_cli.evaluation.gap import avg_gap
from falw_cli.evaluation.measurement import mean_metrics, measure
from falw_cli.models.inputs import open_inputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.unlearning.early_stopping import decide
from falw_cli.unlearning.perform import perform
from falw_cli.unlearning.resolution import complete
from falw_cli.unlearning.run_data import RunData

PAGE = Path(__file__).parents[1] / "docs" / "stopping.md"
HEAD, GOAL = "## The current default on several networks", 1.5
TINY = "tiny-cnn, 16 epochs"
CELLS = [
    (TINY, 1, POOL), (TINY, 1, "gamma-0"), (TINY, 1, "gamma-2"), (TINY, 1, "30 %"),
    *(("tiny-cnn, 30 epochs", seed, POOL) for seed in (1, 2, 3)),
    ("narrow ResNet, crop and flip", 1, POOL), ("ViT, dropout, label smoothing", 1, POOL),
    ("ConvNeXt-atto", 1, POOL),
]  # fmt: skip


def run(place: Place, name: str) -> dict[str, Any]:
    """Unlearn a list and return the Avg. Gap of the original, kept, best and last step."""
    paths = [str(path) for path in retrained(place, name)]
    config = request(
        place, name, place.original(), forget=str(place.ids(name)), reference=paths,
        out=str(place.home / "stopping.safetensors"), unlearn={"trace": True},
    )  # fmt: skip
    inputs = open_inputs(config, Silent(), make_fabric(config))
    config = complete(config, inputs.source)
    run_data = RunData.of(config, inputs)
    references = [measure(one, run_data.judged, config.seed) for one in inputs.references]
    wanted = mean_metrics(references)
    assert wanted is not None
    original = avg_gap(measure(run_data.network, run_data.judged, config.seed), wanted)
    result = perform(config, run_data, references, Silent(), Interrupt(), None)
    before, *curve = result.curve
    guard = config.unlearn.max_utility_loss
    kept, _ = decide(curve, before, guard, curve[-1].step)
    gaps = [one.gap for one in curve if one.gap is not None]
    return {
        "net": f"{place.net}, seed {place.seed}", "list": name, "original": original,
        "kept": kept.gap if kept else None, "best": min(gaps), "end": gaps[-1],
        "floor": avg_gap(*references), "evaluations": len(gaps),
    }  # fmt: skip


def ends_well(row: dict[str, Any]) -> bool:
    """Return whether the kept gap is within GOAL times the best one, or a noise floor of it."""
    kept, best = row["kept"], row["best"]
    return kept is not None and kept <= max(GOAL * best, best + row["floor"])


def section(rows: list[dict[str, Any]]) -> str:
    """Return the section of the page."""
    lines = [
        HEAD, "",
        f"**What to conclude:** {sum(map(ends_well, rows))} of {len(rows)} runs end well: their "
        f"kept gap is at most {GOAL:g} times the best one, or within the noise floor of it.", "",
        "Made by `python -m benchmarks.stopping_networks CIFAR WORK_FOLDER` with the networks and "
        "lists of [networks and lists](networks.md), without flags. Each run continued to the end "
        "of its schedule, and its Avg. Gap to two retrained models was recorded at each "
        "evaluation. *Floor*: the gap between these two.", "",
        "| network | list | original | kept | best | end | floor | evaluations | well |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]  # fmt: skip
    for row in rows:
        gaps = (row[key] for key in ("original", "kept", "best", "end", "floor"))
        cells = " | ".join("–" if gap is None else f"{gap:.2f}" for gap in gaps)
        name = CALLED.get(row["list"], row["list"])
        well = "yes" if ends_well(row) else "no"
        lines.append(f"| {row['net']} | {name} | {cells} | {row['evaluations']} | {well} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run what is missing, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("work", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    saved = asked.work.resolve() / "stopping.jsonl"
    rows = [json.loads(line) for line in saved.read_text().splitlines()] if saved.exists() else []
    for net, seed, name in CELLS[len(rows) :]:
        place = Place(asked.cifar.resolve(), asked.work.resolve(), net, seed)
        rows.append(run(place, name))
        print(json.dumps(rows[-1]), flush=True)
        with saved.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    before, _, after = PAGE.read_text().partition(f"\n{HEAD}\n")
    rest = after.partition("\n## ")[2]
    text = f"{before.rstrip()}\n\n{section(rows)}"
    PAGE.write_text(text + (f"\n## {rest}" if rest else ""))


if __name__ == "__main__":
    main()
