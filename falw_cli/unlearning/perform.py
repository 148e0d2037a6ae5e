"""An unlearning run: learning rate, step loop, early stopping, and further tries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from falw_cli.config.settings import Config, UnlearnRecipe
from falw_cli.errors import DivergedError
from falw_cli.evaluation.forgotten import MEMORISED
from falw_cli.evaluation.gap import avg_gap
from falw_cli.evaluation.measurement import mean_metrics, measure
from falw_cli.evaluation.metrics import Metrics
from falw_cli.models.network import copy_weights
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress
from falw_cli.training.loop import Outcome, Work, fit
from falw_cli.training.state import StateFile
from falw_cli.unlearning import lr_search
from falw_cli.unlearning.early_stopping import (
    MAX_EVALUATIONS,
    EarlyStopping,
    affordable_evaluations,
    allows,
)
from falw_cli.unlearning.expectation import Expectation, expect
from falw_cli.unlearning.interfaces import load_method
from falw_cli.unlearning.lr_search import Plan, Probe, Try, next_plan
from falw_cli.unlearning.objective import Unlearning, objective_of
from falw_cli.unlearning.resolution import base_rate
from falw_cli.unlearning.run_data import RunData
from falw_cli.unlearning.stop_estimate import Evaluation, StoppingSamples, evaluate_step
from falw_cli.unlearning.target import TargetQuality


@dataclass(frozen=True)
class UnlearningResult(Outcome):
    """Result of a run; the network of its `RunData` is the unlearned model."""

    lr: float
    epochs_seen: list[Tensor]
    """Per epoch, [6]: see `Unlearning.epochs`."""
    probes: list[Probe]
    curve: list[Evaluation]
    target_quality: TargetQuality | None
    """How well the target was known at the last step."""
    expectation: Expectation | None
    """Expectation of the forget samples; None without held-out samples."""


def expectation_of(run_data: RunData) -> Expectation | None:
    """Return the expectation of the forget samples; the network must be the original."""
    if not len(run_data.guide):
        return None
    return expect(run_data.network, run_data.forget, run_data.retain, run_data.guide, run_data.kept)


@dataclass(frozen=True)
class _RunContext:
    """What all tries of a run share."""

    config: Config
    run_data: RunData
    references: Sequence[Metrics]
    expectation: Expectation | None
    samples: StoppingSamples | None
    """None if nothing is evaluated; `before` is then None too."""
    before: Evaluation | None
    progress: Progress
    interrupt: Interrupt
    states: StateFile | None

    def objective(self, lr: float, stopping: EarlyStopping | None) -> Unlearning:
        """Return the objective of a run with this learning rate."""
        return objective_of(self.config, self.run_data, lr, stopping, self.expectation)

    @property
    def stops_by_itself(self) -> bool:
        """Whether early stopping is on."""
        return self.config.unlearn.stop == "auto"

    @property
    def memorised(self) -> bool:
        """Whether the original had memorised the list: only then are more steps worth a loss."""
        known = self.expectation
        return known is None or float((known.original - known.prob).mean()) >= MEMORISED

    def allows(self, found: Evaluation) -> bool:
        """Return whether the utility guard allows a step."""
        assert self.before is not None
        return allows(found, self.before, self.config.unlearn.max_utility_loss)


def perform(
    config: Config,
    run_data: RunData,
    references: Sequence[Metrics],
    progress: Progress,
    interrupt: Interrupt,
    states: StateFile | None,
) -> UnlearningResult:
    """Unlearn the network in place.

    Args:
        config: the complete request.
        run_data: network and samples.
        references: metrics of the retrained models, used only for `trace`, in no decision.
        progress, interrupt, states: see `fit`.

    Raises:
        RunError: the run diverged, or no evaluated step kept utility.
        Interrupted: a signal arrived; the state is saved.
    """
    started = time.perf_counter()
    recipe, expectation = config.unlearn, expectation_of(run_data)
    samples, before = None, None
    if recipe.stop == "auto" or recipe.lr == "auto" or recipe.trace:
        assert expectation is not None  # checked by `RunData.of`
        samples = StoppingSamples.of(
            run_data.forget, run_data.retain, run_data.guide, run_data.kept, expectation
        )
        before = evaluate_step(run_data.network, samples, 0, None)
    context = _RunContext(
        config, run_data, references, expectation, samples, before, progress, interrupt, states
    )
    rates, probes = _rates(context)
    preparing = time.perf_counter() - started
    tries = _tries(context, _plans(context, rates), probed=bool(probes))
    chosen = min(tries, key=lambda one: one.score)
    if context.stops_by_itself or probes:
        lr_search.check_best(chosen, tries, before, recipe.max_utility_loss, progress)
    if chosen is not tries[-1]:
        run_data.network.module.load_state_dict(chosen.weights)
    assert chosen.objective is not None  # diverged runs have raised an error
    assert chosen.outcome is not None
    chosen.objective.method.finish()
    stopping, reason = chosen.objective.stopping, chosen.outcome.stopped_because
    if stopping is not None and stopping.decides:
        reason = stopping.reason()
    if not probes and len(tries) > 1:
        probes = [Probe(one.lr, one.best, one.best is not None) for one in tries]
    return UnlearningResult(
        chosen.outcome.steps, chosen.outcome.epochs,
        preparing + sum(one.outcome.seconds for one in tries if one.outcome), reason, chosen.lr,
        chosen.objective.epochs, probes, [before, *stopping.curve] if stopping and before else [],
        chosen.target_quality, expectation,
    )  # fmt: skip


def _rates(context: _RunContext) -> tuple[list[float], list[Probe]]:
    """Return the learning rates to try in order until one succeeds, and the probes."""
    recipe = context.config.unlearn
    if recipe.lr != "auto":
        return [float(recipe.lr)], []
    method, own = load_method(recipe.method), base_rate(context.config)
    if method.tries:
        factors = method.tries if context.stops_by_itself else method.tries[:1]
        own *= lr_search.scale_for(context.run_data, context.config)
        return [own * factor for factor in factors], []
    assert context.samples is not None
    assert context.before is not None
    samples, before = context.samples, context.before

    def run(lr: float) -> tuple[Evaluation, bool]:
        trial = replace(context, run_data=context.run_data.copy(), states=None)
        _steps(trial, lr, trial.objective(lr, None), lr_search.SHARE)
        found = evaluate_step(trial.run_data.network, samples, 0, before)
        return found, context.allows(found)

    lr, probes = lr_search.probe_rates(own, before, run, context.progress)
    context.progress.note(f"learning rate {lr:.3g}")
    # A probe is shorter than the run: if the whole run does harm, the smaller rates are tried.
    return [lr, *sorted((one.lr for one in probes if one.lr < lr), reverse=True)], probes


def _plans(context: _RunContext, rates: list[float]) -> list[Plan]:
    """Return the runs that may be tried; only a default number of steps is changed."""
    run_data, recipe = context.run_data, context.config.unlearn
    small = run_data.is_short(context.config) and recipe.least_steps > 1
    return lr_search.plans_for(rates, lengthens=small and context.stops_by_itself)


def _tries(context: _RunContext, plans: list[Plan], *, probed: bool) -> list[Try]:
    """Take one run after the other, each from the original, until one succeeds."""
    module, progress, before = context.run_data.network.module, context.progress, context.before
    original = copy_weights(module) if len(plans) > 1 else {}
    tries: list[Try] = []
    while (plan := next_plan(plans, tries, before)) is not None:
        lr, trial = plan.lr, replace(
            context, run_data=replace(context.run_data, longer=plan.longer),
            states=context.states.of_try(len(tries)) if context.states else None,
        )  # fmt: skip
        if tries:
            module.load_state_dict(original)
            more = f" with {plan.longer} times the steps" if plan.longer > 1 else ""
            progress.note(
                f"learning rate {tries[-1].lr:.3g} did not succeed; trying {lr:.3g}{more}"
            )
        objective = trial.objective(lr, _early_stopping(trial))
        try:
            outcome = _steps(trial, lr, objective)
        except DivergedError as error:
            tries.append(Try(plan))
            nothing = next_plan(plans, tries, before) is None
            if nothing and all(one.best is None for one in tries):
                raise
            progress.note(f"learning rate {lr:.3g}: {error}")
            continue
        last = next_plan(plans, [*tries, Try(plan)], before) is None
        target_quality = objective.target_quality(context.run_data.network)
        best = _best(context, objective, outcome, probed=probed, last=last)
        if best and tries and (against := lr_search.objection(best, tries[0].best)):
            progress.note(f"learning rate {lr:.3g} {against}")
            best = None
        weights = copy_weights(module) if len(tries) + 1 < len(plans) else {}
        tries.append(Try(plan, outcome, objective, target_quality, best, weights))
        enough = best is not None
        if context.stops_by_itself and enough and context.memorised:
            enough = lr_search.succeeded(best, context.before)
        if enough or not (context.stops_by_itself or probed):
            break
    return tries


def evaluation_count(recipe: UnlearnRecipe, samples: StoppingSamples, work: Work) -> int:
    """Return the number of evaluations of a run: all, or what the steps afford if that is safe."""
    if load_method(recipe.method).overshoots:
        return MAX_EVALUATIONS
    return affordable_evaluations(len(samples), work.steps, recipe.batch_size)


def _early_stopping(context: _RunContext) -> EarlyStopping | None:
    """Return the early stopping of the run, or None if nothing is evaluated."""
    recipe, samples, before = context.config.unlearn, context.samples, context.before
    if samples is None or before is None or not (context.stops_by_itself or recipe.trace):
        return None
    reference, run_data = mean_metrics(context.references), context.run_data
    seed = context.config.seed
    return EarlyStopping(
        samples, before, recipe.max_utility_loss, decides=context.stops_by_itself,
        measure_gap=(lambda network: avg_gap(measure(network, run_data.judged, seed), reference))
        if recipe.trace and reference else None,
        evaluations=evaluation_count(recipe, samples, run_data.work(context.config, 1.0)),
        # A list that was not memorised needs nothing, so that no loss is worth a smaller gap.
        loss_weight=0.0 if context.memorised else 1.0,
    )  # fmt: skip


def _best(
    context: _RunContext, objective: Unlearning, outcome: Outcome, *, probed: bool, last: bool
) -> Evaluation | None:
    """Restore the step to keep and return its evaluation; None if no step is allowed.

    Args:
        probed: whether probes found the rate. If so, and without early stopping, the end of the run
            is evaluated.
        last: whether no smaller learning rate remains. If so, a run that came no closer but did no
            harm is accepted, with a warning.
    """
    network, stopping, before = context.run_data.network, objective.stopping, context.before
    if stopping is not None and stopping.decides:
        return stopping.best if stopping.restore_best(network) else None
    if not probed or context.samples is None or before is None:
        return None
    found = evaluate_step(network, context.samples, outcome.steps, before)
    return found if context.allows(found) and (last or found.score < before.score) else None


def _steps(
    context: _RunContext, lr: float, objective: Unlearning, share_of_run: float = 1.0
) -> Outcome:
    """Run the loop, or the single step of a method without a loop."""
    method, network, started = objective.method, context.run_data.network, time.perf_counter()
    if method.uses_forget or method.uses_retain:
        work = context.run_data.work(context.config, lr, share_of_run)
        return fit(network, work, objective, context.progress, context.interrupt, context.states)
    method.apply()
    objective.after_step(network, 1, 1)
    seconds = time.perf_counter() - started
    return Outcome(1, 1, seconds, "the method takes one step")
