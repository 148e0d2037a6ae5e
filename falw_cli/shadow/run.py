"""`falw audit`: the metrics of `falw evaluate`, and per-sample attacks on the list."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from falw_cli.audit.build import Invocation
from falw_cli.audit.report import Report
from falw_cli.audit.shadows import ENOUGH, TOO_FEW
from falw_cli.bench.pool import Machine, is_stored, run, workers
from falw_cli.bench.store import Store, digest
from falw_cli.config.settings import Config, UnlearnRecipe
from falw_cli.data import forget_list, loading
from falw_cli.data.listing import Listing, Rows
from falw_cli.data.metadata import groups_of
from falw_cli.errors import RequestError
from falw_cli.evaluation.per_sample import PerSample
from falw_cli.models.inputs import Inputs, open_inputs
from falw_cli.runs.evaluate import evaluate
from falw_cli.runs.prepare import json_report
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.outputs import check_writable
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress, Silent
from falw_cli.shadow.attacks import Members, halves
from falw_cli.shadow.ensemble import Shadow, margins, model_outputs, read
from falw_cli.shadow.evidence import LONGEST, Margins, per_sample_evidence, with_or_without
from falw_cli.shadow.judge import run_attacks
from falw_cli.training.loop import Work, fit
from falw_cli.training.run import CrossEntropy
from falw_cli.unlearning.resolution import with_method_defaults
from falw_cli.unlearning.run_data import RunData

LEAST = 4
PROBED = 6
"""Number of steps from which the cost is estimated."""


@dataclass(frozen=True)
class AuditRequest:
    """Request for an audit: number of shadow models, their folder, and number of workers."""

    shadow: int
    folder: Path
    jobs: int | None
    dry_run: bool


def audit(
    config: Config, request: AuditRequest, progress: Progress, invocation: Invocation
) -> Report | None:
    """Measure a model, and attack it with shadow models.

    Returns:
        The report; None for a dry run, which only notes the cost.

    Raises:
        RequestError: the request is inconsistent; nothing was trained.
        RunError: a shadow model could not be trained or unlearned.
        Interrupted: a signal arrived; the same command continues the audit.
    """
    if request.shadow < LEAST or request.shadow % 2:
        raise RequestError(
            f"--shadow is {request.shadow}", f"use an even number, {LEAST} or more; 16 is usual"
        )
    if config.forget is None:
        raise RequestError("--forget is missing: the IDs that were forgotten", "give --forget FILE")
    path = Path(config.model or "model.safetensors")
    report = config.report or str(path.with_name(f"{path.stem}.shadow.audit.json"))
    if request.dry_run:
        check_writable(json_report(report), force=config.force)
        _cost(config, request, open_inputs(config, progress, make_fabric(config)), progress)
        return None
    named = config.model_copy(update={"report": report})
    return evaluate(named, progress, invocation, partial(_attack, named, request, progress))


def _attack(config: Config, request: AuditRequest, progress: Progress, inputs: Inputs) -> PerSample:
    """Train and unlearn the missing shadow models, and attack the model with all of them."""
    plan = _cost(config, request, inputs, progress)
    store = Store(request.folder)
    if (warning := store.open()) is not None:
        progress.warn(warning)
    with workers(request.jobs, config.device) as pool:
        run(pool, store, Machine.here(), plan.shadows, "shadow models", progress)
    network, splits, original = inputs.network, inputs.splits, inputs.original
    outputs, trained = read(store, plan.shadows)
    if not plan.short:
        audited = model_outputs(network, splits)
        return run_attacks(audited, outputs, plan.members, config.seed)
    before = Margins(margins(original, splits.forget), trained) if original else None
    after = Margins(margins(network, splits.forget), outputs.margins)
    return per_sample_evidence(after, before, plan.members, plan.positions)


@dataclass(frozen=True)
class Plan:
    """The shadow models of an audit."""

    shadows: list[Shadow]
    members: Members
    """Which of them unlearns which sample, [M, N]."""
    positions: list[int]
    """Position of each sample in the forget list, from 1."""
    recipe: Config
    """Config of their training."""

    @property
    def short(self) -> bool:
        """Whether the list is short, so that there is evidence per sample."""
        return len(self.positions) <= LONGEST


def _cost(config: Config, request: AuditRequest, inputs: Inputs, progress: Progress) -> Plan:
    """Return the shadow models and note the cost of the missing ones."""
    plan = _plan(config, request, inputs, progress)
    store, recipe = Store(request.folder), plan.recipe
    missing = [one for one in plan.shadows if not is_stored(store, one)]
    untrained = [
        one for one in missing if not store.file("models", one.trained, ".safetensors").exists()
    ]
    learned = [one for one in missing if one.inside]
    run_data = RunData.of(recipe, inputs)
    work = Work(run_data.retain, 0, recipe.train, 0, "")
    seconds = _seconds_a_step(run_data, work)
    steps = len(untrained) * work.steps + len(learned) * run_data.work(recipe, 1.0).steps
    progress.note(
        f"{counted(len(plan.shadows), 'shadow model')}, "
        f"{len(plan.shadows) - len(missing)} of them finished; to do: "
        f"train {counted(len(untrained), 'model')}, unlearn samples from "
        f"{counted(len(learned), 'model')}: {counted(steps, 'step')}, "
        f"about {_time(steps * seconds)} on this machine with one process"
    )
    if plan.short and request.shadow < ENOUGH:
        progress.note(TOO_FEW)
    if plan.short and inputs.original is None:
        progress.note("evidence before unlearning is left out; --original FILE adds it")
    return plan


def _plan(config: Config, request: AuditRequest, inputs: Inputs, progress: Progress) -> Plan:
    """Return the shadow models, their members, and the config of their training."""
    asked_for = _recipe(config, inputs, progress)
    both = asked_for.model_dump(
        mode="json", exclude={"model", "forget", "without", "original", "reference", "gate", "out",
                              "metrics", "report", "force", "resume", "dry_run", "html", "devices",
                              "nodes", "robustness", "relearn", "track", "save_every",
                              "forgotten_gate", "forgotten", "ledger", "correct"},
    )  # fmt: skip
    listing = loading.open_source(config, "data")
    rows = forget_list.find(inputs.data.listed, listing.ids)
    whole = tuple(listing.ids[row] for row in rows)
    if inputs.data.unreadable:
        raise RequestError(
            f"{inputs.data.unreadable} listed samples cannot be read, which shadow models need",
            "restore them, or remove them from the list",
        )
    if len(whole) <= LONGEST:
        members = with_or_without(request.shadow, len(whole))
    else:
        groups = _groups(listing.keep(rows), config, progress)
        random = np.random.default_rng([config.seed, 13])
        members = halves(request.shadow, int(groups.max()) + 1, random)[:, groups]
    sources = [inputs.described[name] for name in ("data", "heldout", "test")]
    content = digest([source and source["sha256"] for source in sources])
    train = {key: value for key, value in both.items() if key not in ("heldout", "test", "unlearn")}
    earlier = tuple(listing.ids[row] for row in inputs.data.earlier.rows)
    shadows = []
    for number, row in enumerate(members.tolist(), 1):
        inside = tuple(one for one, member in zip(whole, row, strict=True) if member)
        seed = {"seed": config.seed + 1 + number}
        shadows.append(Shadow(number, train | seed, both | seed, whole, inside, content, earlier))
    place = {one: number for number, one in enumerate(inputs.data.listed, 1)}
    positions = [place[one] for one in whole]
    return Plan(shadows, members, positions, asked_for)


def _groups(listed: Listing, config: Config, progress: Progress) -> Rows:
    """Return the number of each listed sample's group, [N]; each sample is one without `group`."""
    if config.group is None:
        return np.arange(len(listed.ids))
    keys = groups_of(listed, config.group, config.metadata, progress)
    return np.unique(np.array(keys), return_inverse=True)[1]


def _recipe(config: Config, inputs: Inputs, progress: Progress) -> Config:
    """Return the config by which the audited model was trained and unlearned, as far as known."""
    said = inputs.source.metadata
    lower: dict[str, Any] = {}
    if said is not None and said.recipe is not None:
        lower["train"] = said.recipe.model_dump()
    if said is not None and said.unlearned is not None:
        lower["unlearn"] = {
            k: v for k, v in said.unlearned.items() if k in UnlearnRecipe.model_fields
        }
    else:
        progress.warn(
            "the model does not say how it was unlearned: shadow models use the config's settings"
        )
    network = inputs.network
    if "train" not in lower:
        progress.warn(
            "the model does not say how it was trained: shadow models use the config's `train:`"
        )
    own = {
        "arch": network.arch, "classes": network.classes,
        "arch_config": network.spec.arch_config if network.spec else None,
        "preprocessing": network.preprocessing.model_dump(),
    }  # fmt: skip
    trained = said.recipe if said is not None else None
    return with_method_defaults(config.over({**lower, **own}), trained)


def _seconds_a_step(run_data: RunData, work: Work) -> float:
    """Return the seconds per training step, on a temporary copy of the model."""
    trial = run_data.network.copy()
    few = replace(work, share_of_run=PROBED / work.steps)
    began, taken = 0.0, 1
    for _ in range(2):  # the first round warms up
        began = time.perf_counter()
        taken = fit(trial, few, CrossEntropy(0.0), Silent(), Interrupt(), None).steps
    return (time.perf_counter() - began) / taken


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
