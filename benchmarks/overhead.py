"""What exact FaLW costs: its step against the plain step, taken alternately, on CIFAR-10.

    python benchmarks/overhead.py BENCH.yaml WORK_FOLDER [--rounds 40]

Takes the first list of a bench that has run (sample_configs/bench-cpu.yaml); writes
docs/overhead.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice
from pathlib import Path

import torch

from falw_cli.bench import plan
from falw_cli.bench.grid import Grid
from falw_cli.bench.store import Store
from falw_cli.config import Config
from falw_cli.data.batches import Batch, Mix, epoch, generator
from falw_cli.inputs import open_inputs
from falw_cli.network import Network
from falw_cli.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.unlearning.interfaces import Settings, Start
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.perform import Stage
from falw_cli.unlearning.registry import load_weighting
from falw_cli.unlearning.settle import with_method_defaults

DOCS = Path(__file__).parents[1] / "docs"


def timed_step(
    network: Network, objective: Unlearning, chosen: torch.optim.Optimizer, batch: Batch, step: int
) -> float:
    """Seconds of one whole step."""
    began = time.perf_counter()
    objective.backward(network, batch, network.inputs(batch.pixels), step, 0.0)
    chosen.step()
    chosen.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def measure(config: Config, stage: Stage, rounds: int) -> dict[str, list[float]]:
    """Seconds of `rounds` steps with each weighting, one after the other in turn."""
    network, forget = stage.network, stage.judged.forget
    counts = torch.bincount(forget.labels, minlength=len(network.classes))
    objectives = {}
    for name in ("none", "falw"):
        draws = generator(0, 3)
        start = Start(network, forget, stage.judged.retain, stage.guide, draws, 0.1)
        weighting = load_weighting(name)
        made = weighting(counts, len(network.classes), weighting.settings_type())
        method = RandomLabel(start, Settings())
        objectives[name] = Unlearning(method, made, stage.guide, 1)
    chosen = optimizer(network.module, config.unlearn)
    network.module.train()
    size = config.unlearn.batch_size
    batches = epoch(stage.whole, len(forget), Mix(size), 0, 0)
    seconds: dict[str, list[float]] = {name: [] for name in objectives}
    for step, batch in enumerate(islice(batches, rounds + 3)):
        for name, objective in objectives.items():
            taken = timed_step(network, objective, chosen, batch, step)
            if step >= 3:  # the first ones warm up
                seconds[name].append(taken)
    return seconds


def main() -> None:
    """Measure, and write docs/overhead.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    wanted = parser.parse_args()
    bench = plan.read(wanted.bench)
    grid, lot = Grid(bench, Store(wanted.work)), next(plan.lots(bench))
    config = Config.model_validate(grid.judgements(lot)[0].config)
    config = config.over({"unlearn": {"method": "random-label", "weighting": "falw"}})
    config = with_method_defaults(config)
    given = open_inputs(config, Silent())
    stage = Stage.of(config, given)
    seconds = measure(config, stage, wanted.rounds)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    text = f"""# What exact FaLW costs

Made by `python benchmarks/overhead.py sample_configs/bench-cpu.yaml WORK_FOLDER`: `random-label` on
the CIFAR-10 subset of [results](results.md), `tiny-cnn`, batches of {config.unlearn.batch_size}, mu
and sigma re-estimated on {len(stage.guide):,} held-out samples at every step; the steps of the two
weightings were taken alternately in one process, {wanted.rounds} of each, after three that warm up.
torch {torch.__version__}, {torch.get_num_threads()} threads, {given.network.fabric.device}.

| weighting | median step, ms | ratio |
|---|---|---|
| none | {median["none"] * 1e3:.1f} | 1 |
| falw, exact | {median["falw"] * 1e3:.1f} | {median["falw"] / median["none"]:.1f} |

`--target-every N` spends the held-out pass at every N-th step alone. `match`, the default, fixes
its target before the first step and costs what a plain step costs.
"""
    (DOCS / "overhead.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
