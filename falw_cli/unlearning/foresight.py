"""What a run would take: a few of its steps, taken on a copy of the network."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from falw_cli.config import Config
from falw_cli.progress import Silent
from falw_cli.training.interrupt import Interrupt
from falw_cli.training.loop import fit
from falw_cli.unlearning.interfaces import Method
from falw_cli.unlearning.looking import View, look
from falw_cli.unlearning.perform import objective_of
from falw_cli.unlearning.probing import FACTORS, SHARE
from falw_cli.unlearning.registry import load_method
from falw_cli.unlearning.stage import Stage
from falw_cli.unlearning.stopping import LOOKS

TRIED = (1, 3, 10)
"""Steps that are taken in turn; the last go counts, the others warm up."""
LONG = 2.0
"""Seconds of a step, from which on a single one says enough."""


@dataclass(frozen=True)
class Foreseen:
    """What is expected of a run."""

    steps: int
    epochs: int
    seconds: float
    """Of steps, looks and probes; 0 where the method takes one step, which is not tried."""


def foresee(config: Config, stage: Stage) -> Foreseen:
    """Time a few steps and a look on a copy of the stage's network.

    Args:
        config: settled.
        stage: network and samples, which stay as they are.
    """
    recipe = config.unlearn
    method: type[Method] = load_method(recipe.method)
    if not (method.uses_forget or method.uses_retain):
        return Foreseen(1, 1, 0.0)
    lr = method.defaults["lr"] if recipe.lr == "auto" else float(recipe.lr)
    work = stage.work(config, lr)
    trial = stage.copy()
    objective = objective_of(config, trial, lr, None)
    quiet = Silent(), Interrupt(), None
    step = 0.0
    for steps in TRIED:
        began = time.perf_counter()
        share = steps / (work.per_epoch * work.recipe.epochs)
        fit(trial.network, replace(work, share_of_run=share), objective, *quiet)
        step = (time.perf_counter() - began) / steps
        if step > LONG:
            break
    seconds = step * work.steps
    if recipe.lr == "auto":
        seconds *= 1 + len(FACTORS) * SHARE
    if recipe.stop == "auto":
        view = View.of(stage.forget, stage.retain, stage.guide, stage.kept)
        began = time.perf_counter()
        look(trial.network, view, 0, None)
        seconds += (1 + LOOKS) * (time.perf_counter() - began)
    return Foreseen(work.steps, recipe.epochs, seconds)
