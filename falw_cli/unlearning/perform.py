"""An unlearning run: learning rate, step loop, early stopping, and further tries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from falw_cli.config.settings import Config, UnlearnRecipe
from falw_cli.data.batches import generator
from falw_cli.errors import DivergedError
from falw_cli.evaluation.gap import avg_gap
from falw_cli.evaluation.measurement import mean_metrics, measure
from falw_cli.evaluation.metrics import Metrics
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress
from falw_cli.training.loop import Outcome, Work, fit
from falw_cli.training.state import StateFile
from falw_cli.unlearning.early_stopping import LOOKS, Watch, affordable_looks, allows
from falw_cli.unlearning.estimate import Estimate, Exact, Streaming
from falw_cli.unlearning.expectation import Expectation, expect
from falw_cli.unlearning.interfaces import Method, Start, load_method, load_weighting
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
from falw_cli.unlearning.resolution import base_rate, hyperparameters
from falw_cli.unlearning.run_data import Stage
from falw_cli.unlearning.stop_estimate import Look, View, look
from falw_cli.unlearning.target import Standing


@dataclass(frozen=True)
class Performed:
    """Result of a run; the stage's network is the unlearned model."""

    steps: int
    epochs: int
    seconds: float
    stopped_because: str
    lr: float
    epochs_seen: list[Tensor]
    """Per epoch, [6]: see `Unlearning.epochs`."""
    probes: list[Probe]
    curve: list[Look]
    standing: Standing | None
    """How well the target was known at the last step."""
    expectation: Expectation | None
    """Expectation of the forget samples; None without held-out samples."""


def expectation_of(stage: Stage) -> Expectation | None:
    """Return the expectation of the stage's forget samples; its network must be the original."""
    if not len(stage.guide):
        return None
    return expect(stage.network, stage.forget, stage.retain, stage.guide, stage.kept)


@dataclass(frozen=True)
class _Shared:
    """What all tries of a run share."""

    config: Config
    stage: Stage
    references: Sequence[Metrics]
    expectation: Expectation | None
    view: View | None
    """None if nothing is evaluated; `before` is then None too."""
    before: Look | None
    progress: Progress
    interrupt: Interrupt
    states: StateFile | None

    @property
    def stops_by_itself(self) -> bool:
        """Whether early stopping is on."""
        return self.config.unlearn.stop == "auto"

    def allows(self, found: Look) -> bool:
        """Return whether the utility guard allows a step."""
        assert self.before is not None
        return allows(found, self.before, self.config.unlearn.max_utility_loss)


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
        config: the complete request.
        stage: network and samples.
        references: metrics of the retrained models, used only for `trace`, in no decision.
        progress, interrupt, states: see `fit`.

    Raises:
        RunError: the run diverged, or no evaluated step kept utility.
        Interrupted: a signal arrived; the state is saved.
    """
    started = time.perf_counter()
    recipe, expectation = config.unlearn, expectation_of(stage)
    view, before = None, None
    if recipe.stop == "auto" or recipe.lr == "auto" or recipe.trace:
        assert expectation is not None  # checked by `Stage.of`
        view = View.of(stage.forget, stage.retain, stage.guide, stage.kept, expectation)
        before = look(stage.network, view, 0, None)
    shared = _Shared(
        config, stage, references, expectation, view, before, progress, interrupt, states
    )
    rates, probes = _rates(shared)
    preparing = time.perf_counter() - started
    tries = _tries(shared, rates, probed=bool(probes))
    chosen = min(tries, key=lambda one: one.score)
    if shared.stops_by_itself or probes:
        check_best(chosen, tries, before, recipe.max_utility_loss, progress)
    if chosen is not tries[-1]:
        stage.network.module.load_state_dict(chosen.weights)
    assert chosen.objective is not None  # diverged runs have raised an error
    assert chosen.outcome is not None
    chosen.objective.method.finish()
    watch, reason = chosen.objective.watch, chosen.outcome.stopped_because
    if watch is not None and watch.decides:
        reason = watch.reason()
    if not probes and len(tries) > 1:
        probes = [Probe(one.lr, one.best, one.best is not None) for one in tries]
    return Performed(
        chosen.outcome.steps, chosen.outcome.epochs,
        preparing + sum(one.outcome.seconds for one in tries if one.outcome), reason, chosen.lr,
        chosen.objective.epochs, probes, [before, *watch.curve] if watch and before else [],
        chosen.standing, expectation,
    )  # fmt: skip


def _rates(shared: _Shared) -> tuple[list[float], list[Probe]]:
    """Return the learning rates to try in order until one succeeds, and the probes."""
    recipe = shared.config.unlearn
    if recipe.lr != "auto":
        return [float(recipe.lr)], []
    method, own = load_method(recipe.method), base_rate(shared.config)
    if method.tries:
        factors = method.tries if shared.stops_by_itself else method.tries[:1]
        scale = short_list_scale(len(shared.stage.forget))
        return [own * scale * factor for factor in factors], []
    assert shared.view is not None
    assert shared.before is not None
    view, before = shared.view, shared.before

    def run(lr: float) -> tuple[Look, bool]:
        trial = replace(shared, stage=shared.stage.copy(), states=None)
        _steps(trial, lr, _objective(trial, lr, None), SHARE)
        found = look(trial.stage.network, view, 0, before)
        return found, shared.allows(found)

    lr, probes = probe_rates(own, before, run, shared.progress)
    shared.progress.note(f"learning rate {lr:.3g}")
    # A probe is shorter than the run: if the whole run does harm, the smaller rates are tried.
    return [lr, *sorted((one.lr for one in probes if one.lr < lr), reverse=True)], probes


def _tries(shared: _Shared, rates: list[float], *, probed: bool) -> list[Try]:
    """Run with one rate after the other, each from the original, until one succeeds."""
    module, progress = shared.stage.network.module, shared.progress
    original = _weights(module) if len(rates) > 1 else {}
    tries: list[Try] = []
    while (lr := next_rate(rates, tries)) is not None:
        if tries:
            module.load_state_dict(original)
            progress.note(f"learning rate {tries[-1].lr:.3g} did not succeed; trying {lr:.3g}")
        objective = _objective(shared, lr, _watch(shared))
        states = shared.states.of_try(len(tries)) if shared.states else None
        try:
            outcome = _steps(replace(shared, states=states), lr, objective)
        except DivergedError as error:
            tries.append(diverged(lr))
            if next_rate(rates, tries) is None and all(one.best is None for one in tries):
                raise
            progress.note(f"learning rate {lr:.3g}: {error}")
            continue
        last = next_rate(rates, [*tries, diverged(lr)]) is None
        standing = objective.standing(shared.stage.network)
        best = _best(shared, objective, outcome, probed=probed, last=last)
        tries.append(Try(lr, outcome, objective, standing, best, {} if last else _weights(module)))
        enough = arrived(best, shared.before) if shared.stops_by_itself else best is not None
        if enough or not (shared.stops_by_itself or probed):
            break
    return tries


def looks_of(recipe: UnlearnRecipe, view: View, work: Work) -> int:
    """Return the number of evaluations of a run: all, or what the steps afford if that is safe."""
    if load_method(recipe.method).overshoots:
        return LOOKS
    return affordable_looks(len(view), work.steps, recipe.batch_size)


def _watch(shared: _Shared) -> Watch | None:
    """Return the early stopping of the run, or None if nothing is evaluated."""
    recipe, view, before = shared.config.unlearn, shared.view, shared.before
    if view is None or before is None or not (shared.stops_by_itself or recipe.trace):
        return None
    reference, stage, seed = mean_metrics(shared.references), shared.stage, shared.config.seed
    return Watch(
        view, before, recipe.max_utility_loss, decides=shared.stops_by_itself,
        judge=(lambda network: avg_gap(measure(network, stage.judged, seed), reference))
        if recipe.trace and reference else None,
        looks=looks_of(recipe, view, stage.work(shared.config, 1.0)),
    )  # fmt: skip


def _best(
    shared: _Shared, objective: Unlearning, outcome: Outcome, *, probed: bool, last: bool
) -> Look | None:
    """Restore the step to keep and return its evaluation; None if no step is allowed.

    Args:
        probed: whether probes found the rate. If so, and without early stopping, the end of the run
            is evaluated.
        last: whether no smaller learning rate remains. If so, a run that came no closer but did no
            harm is accepted, with a warning.
    """
    network, watch, before = shared.stage.network, objective.watch, shared.before
    if watch is not None and watch.decides:
        return watch.best if watch.settle(network) else None
    if not probed or shared.view is None or before is None:
        return None
    found = look(network, shared.view, outcome.steps, before)
    return found if shared.allows(found) and (last or found.score < before.score) else None


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _steps(shared: _Shared, lr: float, objective: Unlearning, share_of_run: float = 1.0) -> Outcome:
    """Run the loop, or the single step of a method without a loop."""
    method, network, started = objective.method, shared.stage.network, time.perf_counter()
    if method.uses_forget or method.uses_retain:
        work = shared.stage.work(shared.config, lr, share_of_run)
        return fit(network, work, objective, shared.progress, shared.interrupt, shared.states)
    method.apply()
    objective.after_step(network, 1, 1)
    seconds = time.perf_counter() - started
    return Outcome(1, 1, seconds, "the method takes one step")


def _objective(shared: _Shared, lr: float, watch: Watch | None) -> Unlearning:
    return objective_of(shared.config, shared.stage, lr, watch, shared.expectation)


def objective_of(
    config: Config,
    stage: Stage,
    lr: float,
    watch: Watch | None,
    expectation: Expectation | None,
) -> Unlearning:
    """Return the objective of a complete config on a stage: method, weighting and target."""
    recipe = config.unlearn
    of_method, of_weighting = hyperparameters(config)
    number = len(stage.network.classes)
    start = Start(
        stage.network, stage.forget, stage.retain, stage.guide, stage.kept,
        generator(config.seed, 3), lr, recipe.batch_size, expectation,
    )  # fmt: skip
    method: Method = load_method(recipe.method)(start, of_method)
    assert recipe.weighting is not None  # set by with_method_defaults
    counts = torch.bincount(stage.forget.labels, minlength=number)
    weighting = load_weighting(recipe.weighting)(counts, number, of_weighting)
    estimate: Estimate
    if recipe.target == "exact":
        estimate = Exact(stage.guide.labels, number, recipe.target_every)
    else:
        estimate = Streaming(stage.guide.labels, number, recipe.batch_size, config.seed)
    return Unlearning(method, weighting, stage.guide, estimate, watch)
