"""What in `match` matters: variants side by side, on the seed that nothing is scored on.

    python benchmarks/match_variants.py BENCH.yaml WORK_FOLDER

Takes nets and lists of a bench that has run (sample_configs/bench-cpu.yaml) and trains what is
missing for its search seed; writes docs/experiments/match.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from falw_cli.audit.build import Occasion
from falw_cli.bench import plan
from falw_cli.bench.grid import Grid
from falw_cli.bench.jobs import Job
from falw_cli.bench.plan import Lot
from falw_cli.bench.pool import perform
from falw_cli.bench.store import Store
from falw_cli.config import Config
from falw_cli.progress import Silent
from falw_cli.training.interrupt import Interrupt
from falw_cli.unlearning.divergence import divergence
from falw_cli.unlearning.interfaces import Seen, Start
from falw_cli.unlearning.methods.match import Match, MatchSettings
from falw_cli.unlearning.registry import METHODS
from falw_cli.unlearning.run import unlearn

DOCS = Path(__file__).parents[1] / "docs"


class Stranger(Match):
    """The whole prediction of an unseen sample of the class, not the image's own confusions."""

    def __init__(self, start: Start, settings: MatchSettings) -> None:
        super().__init__(start, settings)
        label = start.forget.labels
        wanted = self.target.gather(1, label[:, None]).squeeze(1)
        predictions = start.network.logits(start.guide.pixels).softmax(1)
        for row, c in enumerate(label.tolist()):
            theirs = predictions[start.guide.labels == c]
            self.target[row] = theirs[(theirs[:, c] - wanted[row]).abs().argmin()]


class Shuffled(Match):
    """The same confidences, dealt out within each class by chance and not by rank."""

    def __init__(self, start: Start, settings: MatchSettings) -> None:
        super().__init__(start, settings)
        label = start.forget.labels
        prob = self.target.gather(1, label[:, None]).squeeze(1)
        rest = self.target.scatter(1, label[:, None], 0)
        rest = rest / rest.sum(1, keepdim=True)
        for c in torch.unique(label).tolist():
            rows = (label == c).nonzero().squeeze(1)
            prob[rows] = prob[rows][torch.randperm(len(rows), generator=start.generator)]
        self.target = (rest * (1 - prob)[:, None]).scatter(1, label[:, None], prob[:, None])


class Held(Match):
    """Retain samples held to the original's predictions instead of their labels."""

    def __init__(self, start: Start, settings: MatchSettings) -> None:
        super().__init__(start, settings)
        self.original = start.network.logits(start.retain.pixels)

    def retain_loss(self, seen: Seen) -> Tensor:
        """Divergence from the original's predictions, [n]."""
        return divergence(seen.logits, self.original[seen.position])


VARIANTS: dict[str, tuple[type[Match], dict[str, Any]]] = {
    "as shipped": (Match, {}),
    "a stranger's whole prediction": (Stranger, {}),
    "confidences by chance, not by rank": (Shuffled, {}),
    "retain held to the original's predictions": (Held, {}),
    "no shift of the prior": (Match, {"hyperparameters": {"prior_shift": 0}}),
    "prior shift 2": (Match, {"hyperparameters": {"prior_shift": 2}}),
    "prior shift 3": (Match, {"hyperparameters": {"prior_shift": 3}}),
    "batches as they come, 4 epochs": (Match, {"forget_share": None, "epochs": 4}),
    "forget share 0.2": (Match, {"forget_share": 0.2}),
    "forget share 0.6": (Match, {"forget_share": 0.6}),
    "lr 0.02": (Match, {"lr": 0.02}),
    "lr 0.1": (Match, {"lr": 0.1}),
    "lr 0.2": (Match, {"lr": 0.2}),
    "8 epochs": (Match, {"epochs": 8}),
    "32 epochs": (Match, {"epochs": 32}),
    "cosine schedule": (Match, {"schedule": "cosine"}),
    "constant learning rate": (Match, {"schedule": "constant"}),
}
PRIORS = ["as shipped", *(name for name in VARIANTS if "prior" in name)]
"""Those that are also tried at gamma 2, where the list takes most of a class."""
COLUMNS = {
    "forget_accuracy": "FA", "retain_accuracy": "RA", "test_accuracy": "TA",
    "mia_efficacy": "MIA", "avg_gap": "Avg. Gap",
}  # fmt: skip


def report(grid: Grid, lot: Lot, kind: type[Match], settings: dict[str, Any]) -> dict[str, Any]:
    """The audit report of one variant on one list."""
    module = ModuleType("variant")
    module.method = kind  # type: ignore[attr-defined]
    sys.modules["variant"] = module
    METHODS["match"] = "variant"
    models = [grid.original(lot), *grid.references(lot)]
    files = [str(grid.store.file("models", job.name, ".safetensors")) for job in models]
    with tempfile.TemporaryDirectory() as folder:
        config = Config.model_validate(
            {
                **grid.base(lot), "model": files[0], "reference": files[1:],
                "forget": grid.ids(lot), "seed": lot.seed, "out": f"{folder}/v.safetensors",
                "unlearn": {
                    "method": "match", "weighting": "none", "stop": "epochs", **settings
                },
            }
        )  # fmt: skip
        occasion = Occasion(("match_variants",), datetime.now(timezone.utc))
        made = unlearn(config, Silent(), Interrupt(), occasion)
    return made.model_dump()


def need(store: Store, jobs: list[Job]) -> None:
    """Make the nets that are missing."""
    for job in jobs:
        if store.load("models", job.name) is None and (error := perform(store, job)):
            raise SystemExit(error)


def main() -> None:
    """Run all variants, and write docs/experiments/match.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", type=Path)
    parser.add_argument("work", type=Path)
    wanted = parser.parse_args()
    bench = plan.read(wanted.bench)
    grid = Grid(bench, Store(wanted.work))
    first = next(plan.search_lots(bench))
    lots = {first: list(VARIANTS), replace(first, gamma=2.0): PRIORS}
    lines = (Path(__file__).parent / "match_variants.intro.md").read_text().splitlines()
    for lot, names in lots.items():
        grid.draw(lot)
        need(grid.store, [grid.original(lot), *grid.references(lot)])
        lines += ["", f"## {lot}", ""]
        lines += [f"| variant | {' | '.join(COLUMNS.values())} | steps |", "|---" * 7 + "|"]
        for name in names:
            kind, settings = VARIANTS[name]
            found = report(grid, lot, kind, settings)
            after = found["metrics"]["after"]
            figures = " | ".join(f"{after[key]:.2f}" for key in COLUMNS)
            lines.append(f"| {name} | {figures} | {found['run']['steps']} |")
            print(lines[-1], flush=True)
        for name in ("before", "reference"):
            figures = [found["metrics"][name][key] for key in COLUMNS]
            shown = " | ".join("–" if value is None else f"{value:.2f}" for value in figures)
            lines.append(f"| {'original' if name == 'before' else 'Retrain'} | {shown} | – |")
        lines += ["", f"Noise floor: {found['metrics']['noise_floor']:.2f}."]
    (DOCS / "experiments" / "match.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
