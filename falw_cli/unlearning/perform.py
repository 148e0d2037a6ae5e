"""The steps of an unlearning run: step size, loop, early stopping, and another try."""

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
from falw_cli.unlearning.early_stopping import Watch, allows
from falw_cli.unlearning.estimate import Estimate, Exact, Streaming
from falw_cli.unlearning.expectation import Expectation, expect
from falw_cli.unlearning.interfaces import Method, Start
from falw_cli.unlearning.lr_search import (
    SHARE,
    Probe,
    Try,
    arrived,
    check_best,
    diverged,
    next_rate,
    probe_rates,
    short_list_scale,
)
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.registry import load_method, load_weighting
from falw_cli.unlearning.settle import base_rate, hyperparameters
from falw_cli.unlearning.stage import Stage
from falw_cli.unlearning.stop_estimate import Look, View, look
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
    expectation: Expectation | None
    """Of the forget samples; None without held-out samples."""


def expectation_of(stage: Stage) -> Expectation | None:
    """The expectation of the stage's forget samples; its network must be the original."""
    if not len(stage.guide):
        return None
    return expect(stage.network, stage.forget, stage.retain, stage.guide, stage.kept)


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
        references: the retrained models' metrics, for `trace` alone: no decision uses them.
        progress, interrupt, states: see `fit`.

    Raises:
        RunError: the run diverged, or no moment of it kept utility.
        Interrupted: a signal came; the state is saved.
    """
    started = time.perf_counter()
    recipe, method = config.unlearn, load_method(config.unlearn.method)
    expectation = expectation_of(stage)
    view, before = None, None
    if recipe.stop == "auto" or recipe.lr == "auto" or recipe.trace:
        assert expectation is not None  # `Stage.of` has made sure
        view = View.of(stage.forget, stage.retain, stage.guide, stage.kept, expectation)
        before = look(stage.network, view, 0, None)
    rates, probes = _rates(config, stage, view, before, expectation, progress, interrupt)
    preparing = time.perf_counter() - started
    original = _weights(stage.network.module) if len(rates) > 1 else {}
    tries: list[Try] = []
    while (lr := next_rate(rates, tries)) is not None:
        if tries:
            stage.network.module.load_state_dict(original)
            progress.note(f"learning rate {tries[-1].lr:.3g} did not get there; trying {lr:.3g}")
        watch = _watch(config, stage, references, view, before)
        objective = objective_of(config, stage, lr, watch, expectation)
        kept = states.of_try(len(tries)) if states else None
        try:
            outcome = _steps(config, stage, lr, objective, progress, interrupt, kept)
        except RunError as error:
            tries.append(diverged(lr))
            if next_rate(rates, tries) is None and all(one.best is None for one in tries):
                raise
            progress.note(f"learning rate {lr:.3g}: {error}")
            continue
        own = view if probes and not (watch and watch.decides) else None
        last = next_rate(rates, [*tries, diverged(lr)]) is None
        tries.append(_tried(config, stage, lr, outcome, objective, own, before, last))
        if _enough(tries[-1], watch, own, before):
            break
    if method.tries and len(tries) > 1:
        probes = [Probe(one.lr, one.best, one.best is not None) for one in tries]
    chosen = min(tries, key=lambda one: one.score)
    if recipe.stop == "auto" or (probes and not method.tries):
        check_best(chosen, tries, before, recipe.max_utility_loss, progress)
    if chosen is not tries[-1]:
        stage.network.module.load_state_dict(chosen.weights)
    assert chosen.objective is not None  # or `check_best` would have refused it
    assert chosen.outcome is not None
    chosen.objective.method.finish()
    watch = chosen.objective.watch
    reason = chosen.outcome.stopped_because
    if watch is not None and watch.decides:
        reason = watch.reason()
    return Performed(
        chosen.outcome.steps, chosen.outcome.epochs,
        preparing + sum(one.outcome.seconds for one in tries if one.outcome), reason, chosen.lr,
        chosen.objective.epochs, probes, [before, *watch.curve] if watch and before else [],
        chosen.standing, expectation,
    )  # fmt: skip


def _rates(
    config: Config,
    stage: Stage,
    view: View | None,
    before: Look | None,
    expectation: Expectation | None,
    progress: Progress,
    interrupt: Interrupt,
) -> tuple[list[float], list[Probe]]:
    """Learning rates to try, one after the other until one gets there, and what probes found."""
    recipe = config.unlearn
    if recipe.lr != "auto":
        return [float(recipe.lr)], []
    method, own = load_method(recipe.method), base_rate(config)
    if method.tries:
        factors = method.tries if recipe.stop == "auto" else method.tries[:1]
        scale = short_list_scale(len(stage.forget))
        return [own * scale * factor for factor in factors], []
    assert view is not None
    assert before is not None

    def run(lr: float) -> tuple[Look, bool]:
        trial = stage.copy()
        objective = objective_of(config, trial, lr, None, expectation)
        _steps(config, trial, lr, objective, progress, interrupt, None, SHARE)
        found = look(trial.network, view, 0, before)
        return found, allows(found, before, recipe.max_utility_loss)

    lr, probes = probe_rates(own, before, run, progress)
    progress.note(f"learning rate {lr:.3g}")
    # A probe is shorter than the run: where the whole run does harm, the smaller rates follow.
    return [lr, *sorted((one.lr for one in probes if one.lr < lr), reverse=True)], probes


def _watch(
    config: Config,
    stage: Stage,
    references: Sequence[Metrics],
    view: View | None,
    before: Look | None,
) -> Watch | None:
    """What follows the run, where anything does."""
    recipe = config.unlearn
    if view is None or before is None or not (recipe.stop == "auto" or recipe.trace):
        return None
    reference = mean_metrics(references)
    return Watch(
        view, before, recipe.max_utility_loss, decides=recipe.stop == "auto",
        judge=(lambda network: avg_gap(measure(network, stage.judged, config.seed), reference))
        if recipe.trace and reference else None,
    )  # fmt: skip


def _tried(
    config: Config,
    stage: Stage,
    lr: float,
    outcome: Outcome,
    objective: Unlearning,
    view: View | None,
    before: Look | None,
    last: bool,
) -> Try:
    """Put back the weights of the best moment, and sum up.

    Args:
        view: looked at now, where the run has no moments to choose from; None looks at nothing.
        last: whether no smaller step size remains; a run that came no closer is accepted then, with
            a warning, where it did no harm.
    """
    standing, best, watch = objective.standing(stage.network), None, objective.watch
    if watch is not None and watch.decides and watch.settle(stage.network):
        best = watch.best
    elif view is not None and before is not None:
        found = look(stage.network, view, outcome.steps, before)
        allowed = allows(found, before, config.unlearn.max_utility_loss)
        best = found if allowed and (last or found.score < before.score) else None
    weights = {} if last else _weights(stage.network.module)
    return Try(lr, outcome, objective, standing, best, weights)


def _enough(last: Try, watch: Watch | None, view: View | None, before: Look | None) -> bool:
    """Whether no other learning rate is tried."""
    if watch is not None and watch.decides:
        return arrived(last.best, before)
    return view is None or last.best is not None


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


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


def objective_of(
    config: Config,
    stage: Stage,
    lr: float,
    watch: Watch | None,
    expectation: Expectation | None,
) -> Unlearning:
    """Method, weighting and target of a settled config on a stage."""
    recipe = config.unlearn
    of_method, of_weighting = hyperparameters(config)
    number = len(stage.network.classes)
    start = Start(
        stage.network, stage.forget, stage.retain, stage.guide, stage.kept,
        generator(config.seed, 3), lr, recipe.batch_size, expectation,
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
