"""The default on many networks and lists, against two retrained models: docs/networks.md.

    python -m benchmarks.networks CIFAR WORK_FOLDER [--only NET ...] [--lists LIST ...] [--jobs 2]

Run benchmarks/networks_train.py first; it trains the networks. Each result is saved to
WORK_FOLDER/results.jsonl, and a cell with a result is not run again. `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.networks_train import MISLABELLED, POOL, Place, places
from falw_cli.audit.build import Invocation
from falw_cli.config.resolution import resolve
from falw_cli.config.settings import Config
from falw_cli.data.device import place as place_on
from falw_cli.errors import FalwError
from falw_cli.models.inputs import open_inputs
from falw_cli.runs.unlearn import unlearn
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent

INTRO = Path(__file__).with_name("networks.intro.md")
PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
SMALL = {"1 sample": (1, 3), "5 samples": (5, 2), "20 of one class": (20, 1)}
"""Small lists from the pool: number of samples, and number of lists."""
EXTREME = 60
ARMS: dict[str, dict[str, Any]] = {
    "default": {},
    "with FaLW weights": {"weighting": "falw"},
    "cross-entropy alone": {"hyperparameters": {"log_odds": 0.0}},
    "finetune": {"method": "finetune"},
    "salun": {"method": "salun"},
    "random-label": {"method": "random-label", "weighting": "none"},
    "falw-paper": {"method": "falw-paper"},
}


@lru_cache(maxsize=64)
def probabilities(place: Place, name: str, model: Path) -> dict[str, float]:
    """Return each training sample's true-class probability in eval mode, by ID."""
    config = request(place, name, model)
    given = open_inputs(config, Silent(), make_fabric(config))
    found: dict[str, float] = {}
    # A list that this process unlearned earlier is not part of the retain set.
    for part in (given.splits.retain, *given.splits.earlier):
        prob, _ = given.network.confidence(place_on(part, given.network.fabric.device))
        ids = (given.data.images.listing.ids[row] for row in part.rows)
        found |= dict(zip(ids, prob.tolist(), strict=True))
    return found


def retrained(place: Place, name: str) -> list[Path]:
    """Return the two retrained models that a list is compared with."""
    without = name if name in place.lists else POOL
    return [place.retrain(without, number) for number in (1, 2)]


def request(
    place: Place, name: str, model: Path, *, command: str = "unlearn", **more: Any
) -> Config:
    """Return the config of a cell."""
    wrong = name == MISLABELLED
    flags = {"model": str(model), "seed": place.seed, "force": True, "allow_outside": True, **more}
    settings = place.settings(mislabelled=wrong)
    settings.pop("train")
    return resolve(command, settings | flags, find=False)


def lists(place: Place) -> Iterator[tuple[str, Path]]:
    """Yield (kind of list, file) for all lists of a network; lists from the pool are drawn here."""
    for name in (POOL, *place.lists):
        yield name, place.ids(name)
    ids = place.ids(POOL).read_text().split()
    random = np.random.default_rng(place.seed)
    classes = [one.partition("/")[0] for one in ids]
    common = sorted(set(classes), key=classes.count)[::-1]
    for name, (count, number) in SMALL.items():
        for index in range(number):
            own = [i for i in ids if i.startswith(f"{common[index % len(common)]}/")]
            yield name, _written(place, f"{name}-{index}", random.permutation(own)[:count].tolist())
    two = [i for i in ids if i.partition("/")[0] in common[:2]]
    yield "100 of two classes", _written(place, "hundred", random.permutation(two)[:100].tolist())
    found = [probabilities(place, POOL, path) for path in retrained(place, POOL)]
    ranked = sorted(ids, key=lambda one: sum(prob[one] for prob in found))
    some = min(EXTREME, len(ranked) // 5)
    yield f"{some} hardest", _written(place, "hardest", ranked[:some])
    yield f"{some} easiest", _written(place, "easiest", ranked[-some:])


def _written(place: Place, name: str, ids: list[str]) -> Path:
    file = place.home / f"list-{name.replace(' ', '')}.txt"
    file.write_text("".join(f"{one}\n" for one in sorted(ids)))
    return file


Cell = tuple[Place, str, Path, str]


def measure(cell: Cell) -> dict[str, Any]:
    """Unlearn a list of a network, and compare with its retrained models."""
    place, name, ids, arm = cell
    torch.set_num_threads(1)
    out = place.home / f"{ids.stem}-{arm}.unlearned.safetensors"
    model = place.original(name)
    row: dict[str, Any] = {
        "net": place.net, "seed": place.seed, "list": name, "ids": ids.stem, "arm": arm,
    }  # fmt: skip
    began = time.perf_counter()
    try:
        asked = request(
            place, name, model, forget=str(ids), out=str(out), unlearn=ARMS[arm],
            reference=[str(path) for path in retrained(place, name)],
        )  # fmt: skip
        report = unlearn(asked, Silent(), Interrupt(), Invocation.now())
    except FalwError as error:
        return row | {"failed": str(error), "exit": error.exit_code}
    assert report.run is not None
    metrics = report.metrics
    assert metrics.before
    assert metrics.after
    assert metrics.reference
    before, after, *references = (
        probabilities(place, name, path) for path in (model, out, *retrained(place, name))
    )
    listed = ids.read_text().splitlines()
    kept = sorted(before.keys() - set(listed))

    def of(prob: dict[str, float], chosen: list[str]) -> Any:
        return np.array([prob[one] for one in chosen])

    each = [of(one, listed) for one in references]
    truth = np.mean(each, axis=0)
    share = metrics.after.forgotten_share
    return row | {
        "exit": 0 if report.passed else 1, "steps": report.run.steps,
        "seconds": round(report.run.seconds, 1), "lr": report.run.lr,
        "wall": round(time.perf_counter() - began, 1),
        "off_before": float(np.abs(of(before, listed) - truth).mean()),
        "off": float(np.abs(of(after, listed) - truth).mean()),
        "floor_off": float(np.abs(each[0] - each[1]).mean()),
        "p": float(of(after, listed).mean()), "p_retrain": float(truth.mean()),
        "gap_before": metrics.before.avg_gap, "gap": metrics.after.avg_gap,
        "floor": metrics.noise_floor, "share": share.model_dump() if share else None,
        "test_before": metrics.before.test_accuracy, "test": metrics.after.test_accuracy,
        "test_retrain": metrics.reference.test_accuracy,
        "retained_test": metrics.after.retained_test_accuracy,
        "retained_test_retrain": metrics.reference.retained_test_accuracy,
        "retain": metrics.after.retain_accuracy,
        "low_before": float(np.percentile(of(before, kept), 5)),
        "low": float(np.percentile(of(after, kept), 5)),
        "curve": [(one.step, one.estimated_gap) for one in report.run.curve],
    }  # fmt: skip


def misses(row: dict[str, Any]) -> list[str]:
    """Return the acceptance bounds that a cell misses."""
    if "failed" in row:
        return [f"exit {row['exit']}"]
    found = []
    if row["off"] > max(1.4 * row["floor_off"], 0.1):
        found.append("off")
    long = row["list"] in (POOL, "gamma-0", "gamma-2", "30 %", "class", "100 of two classes")
    if long and row["gap"] > max(2 * row["floor"], 0.1 * row["gap_before"]):
        found.append("gap")
    if row["list"] != "class" and row["test"] < min(row["test_before"], row["test_retrain"]) - 0.5:
        found.append("test accuracy")
    return found


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page from all results."""
    lines = [INTRO.read_text().rstrip(), ""]
    nets = list(dict.fromkeys(row["net"] for row in rows))
    for net in nets:
        mine = [row for row in rows if row["net"] == net]
        lines += [
            f"## {net}", "",
            "| list | arm | lists | p after, Retrain | off before, after (floor) | "
            "Avg. Gap before, after (floor) | test accuracy before, after, Retrain | "
            "forgotten share | steps | misses |",
            "|---|---|--:|---|---|---|---|---|--:|---|",
        ]  # fmt: skip
        keys = dict.fromkeys((row["list"], row["arm"]) for row in mine)
        for name, arm in keys:
            lines.append(_line([r for r in mine if (r["list"], r["arm"]) == (name, arm)]))
        lines.append("")
    return "\n".join(lines)


def _line(rows: list[dict[str, Any]]) -> str:
    done = [row for row in rows if "failed" not in row]
    name, arm = rows[0]["list"], rows[0]["arm"]
    called = {POOL: "10 %, gamma 1", "gamma-0": "10 %, gamma 0", "gamma-2": "10 %, gamma 2"}
    missed = [one for row in rows for one in misses(row)]
    counted = ", ".join(f"{one} ({missed.count(one)})" for one in dict.fromkeys(missed)) or "–"
    start = f"| {called.get(name, name)} | {arm} | {len(rows)} |"
    if not done:
        return f"{start} – | – | – | – | – | – | {counted} |"

    def mean(key: str) -> float:
        return statistics.fmean(row[key] for row in done)

    shares = [row["share"]["value"] for row in done if row["share"]]
    return (
        f"{start} {mean('p'):.2f}, {mean('p_retrain'):.2f} | "
        f"{mean('off_before'):.2f}, {mean('off'):.2f} ({mean('floor_off'):.2f}) | "
        f"{mean('gap_before'):.1f}, {mean('gap'):.2f} ({mean('floor'):.2f}) | "
        f"{mean('test_before'):.1f}, {mean('test'):.1f}, {mean('test_retrain'):.1f} | "
        f"{f'{statistics.fmean(shares):.0f} %' if shares else '–'} | {mean('steps'):.0f} | "
        f"{counted} |"
    )


def main() -> None:
    """Run all missing cells, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--lists", nargs="*")
    parser.add_argument("--arms", nargs="*", default=["default"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    results = asked.folder / "results.jsonl"
    rows = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    if not asked.page:
        known = {(row["net"], row["seed"], row["ids"], row["arm"]) for row in rows}
        todo: list[Cell] = []
        for place in places(asked.cifar.resolve(), asked.folder.resolve(), asked.only):
            if not place.retrain(POOL, 2).exists():
                continue
            for name, ids in lists(place):
                ready = name not in place.lists or place.retrain(name, 2).exists()
                if ready and (not asked.lists or name in asked.lists):
                    todo += [(place, name, ids, arm) for arm in asked.arms]
        todo = [c for c in todo if (c[0].net, c[0].seed, c[2].stem, c[3]) not in known]
        with ProcessPoolExecutor(asked.jobs) as pool, results.open("a") as stream:
            for row in pool.map(measure, todo):
                rows.append(row)
                stream.write(json.dumps(row) + "\n")
                stream.flush()
                print(json.dumps({k: v for k, v in row.items() if k != "curve"}), flush=True)
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
