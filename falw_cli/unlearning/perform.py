"""The steps of an unlearning run: probes for a learning rate, the loop, the best moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falw_cli.config import Config
from falw_cli.data.batches import generator
from falw_cli.errors import RunError
from falw_cli.evaluation.gap import avg_gap
from falw_cli.evaluation.metrics import Metrics
from falw_cli.evaluation.run import mean_metrics, measure
from falw_cli.progress import Progress
from falw_cli.training.interrupt import Interrupt
from falw_cli.training.loop import Outcome, fit
from falw_cli.training.state import StateFile
from falw_cli.unlearning.estimate import Estimate, Exact, Streaming
from falw_cli.unlearning.interfaces import Method, Start
from falw_cli.unlearning.looking import Look, View, look
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.probing import SHARE, Probe, probe_rates
from falw_cli.unlearning.registry import load_method, load_weighting
from falw_cli.unlearning.settle import hyperparameters
from falw_cli.unlearning.stage import Stage
from falw_cli.unlearning.stopping import Watch, allows
from falw_cli.unlearning.target import Standing


@dataclass(frozen=True)
class Performed:
    """How the run went; the stage's network is the unlearned model."""

    steps: int
    epochs: int
    seconds: float
    stopped_because: str
    lr: float
    epochs_seen: list[Tensor]
    """Of each epoch, see `Unlearning.epochs`, [6]."""
    probes: list[Probe]
    curve: list[Look]
    standing: Standing | None
    """Of the target, at the last step."""


def perform(
    config: Config,
    stage: Stage,
    references: Sequence[Metrics],
    progress: Progress,
    interrupt: Interrupt,
    states: StateFile | None,
) -> Performed:
    """Unlearn the stage's network in place.

    Args:
        config: settled; `unlearn` says what to do.
        stage: network and samples.
        references: Retrain's metrics, for `trace` alone: no decision looks at them.
        progress, interrupt, states: see `fit`.

    Raises:
        RunError: the run diverged, or no moment of it kept utility.
        Interrupted: a signal came; the state is saved.
    """
    started = time.perf_counter()
    recipe = config.unlearn
    view, before = None, None
    if recipe.stop == "auto" or recipe.lr == "auto" or recipe.trace:
        view = View.of(stage.forget, stage.retain, stage.guide, stage.kept)
        before = look(stage.network, view, 0, None)
    probes: list[Probe] = []
    if recipe.lr == "auto":
        assert view is not None
        assert before is not None
        lr, probes = _probe(config, stage, view, before, progress, interrupt)
        progress.note(f"learning rate {lr:.3g}")
    else:
        lr = float(recipe.lr)
    watch = None
    if view is not None and before is not None and (recipe.stop == "auto" or recipe.trace):
        reference = mean_metrics(references)
        watch = Watch(
            view, before, recipe.max_utility_loss, decides=recipe.stop == "auto",
            judge=(lambda network: avg_gap(measure(network, stage.judged, config.seed), reference))
            if recipe.trace and reference else None,
        )  # fmt: skip
    probing = time.perf_counter() - started
    objective = objective_of(config, stage, lr, watch)
    outcome = _steps(config, stage, lr, objective, progress, interrupt, states)
    reason, standing = outcome.stopped_because, objective.standing(stage.network)
    if watch is not None and watch.decides:
        if not watch.settle(stage.network):
            raise RunError(
                "no moment of the run kept retain and held-out accuracy within "
                f"{recipe.max_utility_loss:g} points; nothing was written",
                "let --lr auto find a smaller step, or take a larger --max-utility-loss",
            )
        assert watch.best is not None
        if watch.best.estimated_gap >= watch.before.estimated_gap:
            progress.warn(
                "the run came no closer: the estimated gap to a Retrain model was "
                f"{watch.before.estimated_gap:.2f} before and is {watch.best.estimated_gap:.2f}"
            )
        reason = watch.reason()
    objective.method.finish()
    return Performed(
        outcome.steps, outcome.epochs, probing + outcome.seconds, reason, lr,
        objective.epochs, probes, [before, *watch.curve] if watch and before else [], standing,
    )  # fmt: skip


def _steps(
    config: Config,
    stage: Stage,
    lr: float,
    objective: Unlearning,
    progress: Progress,
    interrupt: Interrupt,
    states: StateFile | None,
    share_of_run: float = 1.0,
) -> Outcome:
    """Run the loop, or the one step of a method without a loop."""
    method, started = objective.method, time.perf_counter()
    if method.uses_forget or method.uses_retain:
        work = stage.work(config, lr, share_of_run)
        return fit(stage.network, work, objective, progress, interrupt, states)
    method.apply()
    objective.after_step(stage.network, 1, 1)
    seconds = time.perf_counter() - started
    return Outcome(1, 1, seconds, "the method takes one step")


def _probe(
    config: Config,
    stage: Stage,
    view: View,
    before: Look,
    progress: Progress,
    interrupt: Interrupt,
) -> tuple[float, list[Probe]]:
    """The learning rate that short runs on copies of the network find."""

    def run(lr: float) -> tuple[Look, bool]:
        trial = stage.copy()
        objective = objective_of(config, trial, lr, None)
        _steps(config, trial, lr, objective, progress, interrupt, None, SHARE)
        found = look(trial.network, view, 0, before)
        return found, allows(found, before, config.unlearn.max_utility_loss)

    own = load_method(config.unlearn.method).defaults["lr"]
    return probe_rates(own, run, progress)


def objective_of(config: Config, stage: Stage, lr: float, watch: Watch | None) -> Unlearning:
    """Method, weighting and target of a settled config on a stage."""
    recipe = config.unlearn
    of_method, of_weighting = hyperparameters(config)
    number = len(stage.network.classes)
    start = Start(
        stage.network, stage.forget, stage.retain, stage.guide, stage.kept,
        generator(config.seed, 3), lr,
    )  # fmt: skip
    method: Method = load_method(recipe.method)(start, of_method)
    assert recipe.weighting is not None  # settled by with_method_defaults
    counts = torch.bincount(stage.forget.labels, minlength=number)
    weighting = load_weighting(recipe.weighting)(counts, number, of_weighting)
    estimate: Estimate
    if recipe.target == "exact":
        estimate = Exact(stage.guide.labels, number, recipe.target_every)
    else:
        estimate = Streaming(stage.guide.labels, number, recipe.batch_size, config.seed)
    return Unlearning(method, weighting, stage.guide, estimate, watch)
