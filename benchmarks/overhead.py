"""Overhead of FaLW per step: exact, streaming and plain steps, run alternately, on CIFAR-10.

    python benchmarks/overhead.py BENCH.yaml WORK_FOLDER [--rounds 80]

Uses the first list of a finished bench (sample_configs/bench-cpu.yaml), and writes
docs/overhead.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import count
from pathlib import Path

import torch

from falw_cli.bench import plan
from falw_cli.bench.grid import Grid
from falw_cli.bench.store import Store
from falw_cli.config.settings import Config
from falw_cli.data.batches import Batch, Mix, epoch, generator
from falw_cli.models.inputs import open_inputs
from falw_cli.models.network import Network
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.unlearning.estimate import PERIOD, Estimate, Exact, Streaming
from falw_cli.unlearning.interfaces import MethodInputs, Settings, load_weighting
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.resolution import with_method_defaults
from falw_cli.unlearning.run_data import RunData

WARM_UP = 8
DOCS = Path(__file__).parents[1] / "docs"


def timed_step(
    network: Network, objective: Unlearning, chosen: torch.optim.Optimizer, batch: Batch, step: int
) -> float:
    """Return the seconds of one complete step."""
    began = time.perf_counter()
    objective.backward(network, batch, network.inputs(batch.pixels), step, 0.0)
    chosen.step()
    chosen.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def measure(config: Config, run_data: RunData, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of `rounds` steps with each weighting and target, run alternately."""
    network, number = run_data.network, len(run_data.network.classes)
    counts = torch.bincount(run_data.forget.labels, minlength=number)
    label, size = run_data.guide.labels, config.unlearn.batch_size
    estimates: dict[str, tuple[str, Estimate]] = {
        "none": ("none", Exact(label, number, 1)),
        "falw, streaming": ("falw", Streaming(label, number, size, 0)),
        "falw, exact": ("falw", Exact(label, number, 1)),
    }
    objectives = {}
    for name, (weighting, estimate) in estimates.items():
        draws = generator(0, 3)
        start = MethodInputs(
            network, run_data.forget, run_data.retain, run_data.guide, run_data.kept, draws, 0.1
        )
        kind = load_weighting(weighting)
        made = kind(counts, number, kind.settings_type())
        method = RandomLabel(start, Settings())
        objectives[name] = Unlearning(method, made, run_data.guide, estimate)
    chosen = optimizer(network.module, config.unlearn)
    network.module.train()
    seconds: dict[str, list[float]] = {name: [] for name in objectives}
    step = 0
    for passed in count():
        for batch in epoch(run_data.whole, len(run_data.forget), Mix(size), 0, passed):
            for name, objective in objectives.items():
                taken = timed_step(network, objective, chosen, batch, step)
                if step >= WARM_UP:
                    seconds[name].append(taken)
            step += 1
            if step == rounds + WARM_UP:
                return seconds
    raise AssertionError


def main() -> None:
    """Measure, and write docs/overhead.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=80)
    wanted = parser.parse_args()
    bench = plan.read(wanted.bench)
    grid, scenario = Grid(bench, Store(wanted.work)), next(plan.scenarios(bench))
    config = Config.model_validate(grid.judgements(scenario)[0].config)
    config = config.over({"unlearn": {"method": "random-label", "weighting": "falw"}})
    config = with_method_defaults(config)
    given = open_inputs(config, Silent(), make_fabric(config))
    run_data = RunData.of(config, given)
    seconds, guides = measure(config, run_data, wanted.rounds), len(run_data.guide)
    # The streaming target reads held-out data at every eighth step, so take means over periods.
    rounds = wanted.rounds - wanted.rounds % PERIOD
    periods = {
        name: [statistics.mean(values[i : i + PERIOD]) for i in range(0, rounds, PERIOD)]
        for name, values in seconds.items()
    }
    plain = periods["none"]
    rows, cost = [], {}
    for name, values in periods.items():
        ratios = [mine / theirs for mine, theirs in zip(values, plain, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        cost[name] = statistics.median(ratios)
        rows.append(
            f"| {name} | {statistics.median(values) * 1e3:.1f} "
            f"| {cost[name]:.2f} ({low:.2f} to {high:.2f}) |"
        )
    text = f"""# What does FaLW cost per step?

Made by `python benchmarks/overhead.py sample_configs/bench-cpu.yaml WORK_FOLDER`: `random-label` on
the CIFAR-10 subset of [results](results.md), `tiny-cnn`, batches of {config.unlearn.batch_size},
{guides:,} held-out samples that guide. Plain steps and steps with either target were taken
alternately in one process, {rounds} of each after {WARM_UP} warm-up steps. The table shows medians
over periods of {PERIOD} steps, with quartiles in parentheses.
torch {torch.__version__}, {torch.get_num_threads()} threads, {given.network.fabric.device}.

| weighting, target | step, ms | ratio to plain |
|---|---|---|
{chr(10).join(rows)}

**What to conclude:** with the streaming target, a step takes {cost["falw, streaming"]:.2f}
times as long as a plain one. With the exact target, it takes
{cost["falw, exact"]:.2f} times as long.

The exact target is the paper's. Before every step, it computes mu and sigma from all held-out
samples, and evaluates the forget samples of the batch once more without augmentation. The streaming
target is the default. It evaluates a part of the held-out samples at a time, and uses the training
pass for the forget samples.
"""
    (DOCS / "overhead.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
