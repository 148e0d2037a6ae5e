"""Cost estimate of a run: its expectation, and a few of its steps on a copy of the network."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from falw_cli.config.settings import Config
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import fit
from falw_cli.unlearning.interfaces import Method, load_method
from falw_cli.unlearning.lr_search import FACTORS, SHARE
from falw_cli.unlearning.objective import objective_of
from falw_cli.unlearning.perform import evaluation_count, expectation_of
from falw_cli.unlearning.resolution import base_rate
from falw_cli.unlearning.run_data import RunData
from falw_cli.unlearning.stop_estimate import StoppingSamples, evaluate_step

TIMED_STEPS = (1, 3, 10)
"""Steps per timed round; the last round counts, the earlier ones warm up."""
MAX_SECONDS = 2.0
"""Seconds per step above which no further round is timed."""


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of a run."""

    steps: int
    epochs: int
    seconds: float
    """For steps, evaluations and probes; 0 for a single-step method, which is not timed."""


def estimate_cost(config: Config, run_data: RunData) -> CostEstimate:
    """Time a few steps and one evaluation on a copy of the network.

    Args:
        config: the complete request.
        run_data: network and samples; not changed.
    """
    recipe = config.unlearn
    method: type[Method] = load_method(recipe.method)
    if not (method.uses_forget or method.uses_retain):
        return CostEstimate(1, 1, 0.0)
    lr = base_rate(config) if recipe.lr == "auto" else float(recipe.lr)
    began = time.perf_counter()
    expectation = expectation_of(run_data)
    expecting = time.perf_counter() - began
    work = run_data.work(config, lr)
    trial = run_data.copy()
    objective = objective_of(config, trial, lr, None, expectation)
    quiet = Silent(), Interrupt(), None
    step = 0.0
    for steps in TIMED_STEPS:
        began = time.perf_counter()
        share = steps / work.steps
        fit(trial.network, replace(work, share_of_run=share), objective, *quiet)
        step = (time.perf_counter() - began) / steps
        if step > MAX_SECONDS:
            break
    seconds = expecting + step * work.steps
    if recipe.lr == "auto" and not method.tries:
        seconds += step * work.steps * len(FACTORS) * SHARE
    if recipe.stop == "auto" and expectation is not None:
        samples = StoppingSamples.of(
            run_data.forget, run_data.retain, run_data.guide, run_data.kept, expectation
        )
        began = time.perf_counter()
        evaluate_step(trial.network, samples, 0, None)
        seconds += (1 + evaluation_count(recipe, samples, work)) * (time.perf_counter() - began)
    return CostEstimate(work.steps, -(-work.steps // work.per_epoch), seconds)
