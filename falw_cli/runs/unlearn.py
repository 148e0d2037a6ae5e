"""`falw unlearn`: splits -> method x weighting -> loop -> unlearned checkpoint and audit report."""

from __future__ import annotations

import math
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor

from falw_cli.audit import gates
from falw_cli.audit.build import (
    Occasion,
    all_figures,
    all_metrics,
    build_report,
    class_targets,
)
from falw_cli.audit.comeback import comeback
from falw_cli.audit.report import (
    AllMetrics,
    Course,
    EpochWeights,
    Moment,
    Output,
    Probed,
    Report,
    Run,
)
from falw_cli.audit.seal import to_text
from falw_cli.config.settings import Config
from falw_cli.data.device import Streamed
from falw_cli.errors import RequestError
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import FIELD, parse_weights
from falw_cli.evaluation.gap_metric import described
from falw_cli.evaluation.measurement import measure, metrics_of
from falw_cli.evaluation.metrics import Comeback, Metrics
from falw_cli.evaluation.plausibility import check_plausible
from falw_cli.evaluation.predictions import Predictions
from falw_cli.models import checkpoint, checkpoint_files
from falw_cli.models.inputs import Inputs, warn_of_changes
from falw_cli.models.network import metadata
from falw_cli.runs.prepare import Opened, Paths, belongs_to, open_request
from falw_cli.runtime import outputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress
from falw_cli.runtime.tracking import loggers, tracked
from falw_cli.training.state import StateFile
from falw_cli.unlearning.arrival import no_share, share_of
from falw_cli.unlearning.cost_estimate import foresee
from falw_cli.unlearning.perform import Performed, perform
from falw_cli.unlearning.run_data import Stage
from falw_cli.unlearning.stop_estimate import Look

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Known:
    """Metrics that are known already: of the original and of each reference."""

    before: Metrics | None
    references: tuple[Metrics, ...]


def unlearn(
    config: Config,
    progress: Progress,
    interrupt: Interrupt,
    occasion: Occasion,
    known: Known | None = None,
) -> Report:
    """Remove the influence of the forget list, measure, and write checkpoint and report.

    Args:
        config: resolved from flags and files.
        progress, interrupt: see `fit`.
        occasion: command and time, for the report.
        known: metrics that a bench has already measured.

    Raises:
        RequestError: the request is inconsistent; nothing was written.
        RunError: the run failed; nothing was written.
        Interrupted: a signal arrived; `--resume` continues the run.
    """
    if config.forget is None:
        raise RequestError("--forget is missing: the IDs to forget", "give --forget ids.txt")
    fabric = make_fabric(config, loggers(config, Paths.of(config).out))
    with ExitStack() as held:
        opened = open_request(config, progress, fabric, held)
        if isinstance(opened.stage.whole, Streamed):
            progress.note("training samples are read on demand: they do not fit on the device")
        if config.dry_run:
            return _planned(opened, progress, occasion)
        held.enter_context(tracked(fabric, opened.config.unlearn.model_dump(mode="json")))
        return _run_opened(opened, progress, interrupt, occasion, known)


def _planned(opened: Opened, progress: Progress, occasion: Occasion) -> Report:
    """Return the report of a dry run, with the cost estimated from a few steps on a copy."""
    network, stage = opened.given.network, opened.stage
    check_plausible(Predictions.of(network, stage.judged, opened.config.seed))
    foreseen = foresee(opened.config, stage)
    plan = Run(
        steps=foreseen.steps, epochs=foreseen.epochs, seconds=foreseen.seconds,
        peak_memory_bytes=_peak(network.fabric.device), stopped_because="dry run",
    )  # fmt: skip
    nothing = AllMetrics(before=None, after=None, reference=None, noise_floor=None)
    return build_report(opened.config, opened.given, occasion, progress, run=plan, metrics=nothing)


def _run_opened(
    opened: Opened,
    progress: Progress,
    interrupt: Interrupt,
    occasion: Occasion,
    known: Known | None,
) -> Report:
    """Measure, unlearn, measure, and write."""
    config, paths, given, stage = opened.config, opened.paths, opened.given, opened.stage
    network, fabric = given.network, given.network.fabric
    looked = [] if known else _looked(given, stage, config.seed)
    if looked:
        check_plausible(looked[0])
    references = known.references if known else tuple(metrics_of(one) for one in looked[1:])
    states = StateFile(
        paths.out.with_name(paths.out.name + ".state"), belongs_to(config, given), config.resume,
        config.save_every,
    )  # fmt: skip
    done = perform(config, stage, references, progress, interrupt, states)
    # Measure exactly what is written: the weights in the dtypes of the checkpoint.
    tensors = checkpoint.like(network.module, given.source)
    network.module.load_state_dict(tensors)
    remarks: tuple[str, ...] = ()
    if known:
        after = measure(network, stage.judged, config.seed)
        metrics, returned = all_metrics(known.before, after, references), None
    else:
        metrics, returned, remarks = _studied(config, given, stage, looked, progress)
    _warn_of_harm(metrics, config.unlearn.max_utility_loss, progress)
    share = share_of(done.expectation, network, stage.forget)
    if share is None:
        progress.warn(no_share(done.expectation))
    elif config.forgotten_gate and share.upper < gates.FORGOTTEN.number:
        progress.warn(_weak(share.value, done))
    if metrics.after:
        after = metrics.after.model_copy(update={"forgotten_share": share})
        metrics = metrics.model_copy(update={"after": after})
    if metrics.after:
        fabric.log_dict(
            {f"after/{name}": getattr(metrics.after, name) for name in FIELD}, done.steps
        )
    content = _files(opened, tensors, done.lr)
    warn_of_changes(given, progress)
    report = build_report(
        config,
        given,
        occasion,
        progress,
        run=_run(done, fabric.device),
        metrics=metrics,
        comeback=returned,
        output=Output(path=str(paths.out), sha256=checkpoint_files.digest_of(content)),
        target=class_targets(network, stage.guide, done.standing),
        weights=[
            EpochWeights(min=e[0], mean=e[1], max=e[2])
            for e in (epoch.tolist() for epoch in done.epochs_seen)
        ],
        asked=[*opened.asked, *([gates.FORGOTTEN] if config.forgotten_gate and share else [])],
        remarks=remarks,
    )
    if fabric.is_global_zero:
        pages = {paths.page: _page(paths, report)} if config.html else {}
        # The report is written last: its presence means that all files are complete.
        files = {**content, **pages, paths.report: to_text(report).encode()}
        outputs.write_all(files)
        states.remove()
    return report


def _files(opened: Opened, tensors: dict[str, Tensor], lr: float) -> dict[Path, bytes]:
    """Return the files of the checkpoint to write."""
    given = opened.given
    said = {**opened.config.unlearn.model_dump(mode="json"), "lr": lr}
    notes = metadata(
        given.network,
        recipe=given.source.metadata.recipe if given.source.metadata else None,
        beside=given.source.metadata.beside if given.source.metadata else None,
        parent=given.described["model"]["sha256"],
        unlearned={"seed": opened.config.seed, **said},
    )
    return checkpoint_files.written(opened.paths.out, tensors, notes, given.source)


def _studied(
    config: Config, given: Inputs, stage: Stage, looked: list[Predictions], progress: Progress
) -> tuple[AllMetrics, Comeback | None, tuple[str, ...]]:
    """Audit the network; `looked` holds predictions of the original and of the references."""
    network, seed = given.network, config.seed
    after = Predictions.of(network, stage.judged, seed)
    found = full_audit(looked[0], after, looked[1:], parse_weights(config.metrics))
    for warning in found.warnings:
        progress.note(f"note: {warning}")
    returned = None
    if config.relearn:
        original = replace(network, module=deepcopy(network.module))
        checkpoint.fill(original.module, given.source, network.arch)
        returned = comeback(network, stage.judged, after, given.references, original)
    return all_figures(found), returned, found.warnings


def _weak(share: float, done: Performed) -> str:
    """Return the warning that a list is not forgotten, with what was tried and what to do."""
    rates = ", ".join(f"{one.lr:.3g}" for one in done.probes) or f"{done.lr:.3g}"
    return (
        f"the list is not forgotten: {share:.0f} % of the way (learning rate {rates}); use more "
        "--epochs, another --lr or --method, or leave out these flags"
    )


def _warn_of_harm(metrics: AllMetrics, most: float, progress: Progress) -> None:
    """Warn of accuracy losses that the guard of early stopping missed, on its fewer samples."""
    for name in ("retain_accuracy", "retained_test_accuracy"):
        before, after = (getattr(one, name, None) for one in (metrics.before, metrics.after))
        if before is not None and after is not None and before - after > most:
            progress.warn(
                f"{described(name)[0]} fell from {before:.1f} to {after:.1f} %, by more than "
                f"--max-utility-loss {most:g}"
            )


def _page(paths: Paths, report: Report) -> bytes:
    from falw_cli.audit.page import Named, html

    return html([Named(paths.out.name, report)]).encode()


def _looked(given: Inputs, stage: Stage, seed: int) -> list[Predictions]:
    """Return the predictions of the original and of each reference."""
    networks = (given.network, *given.references)
    return [Predictions.of(network, stage.judged, seed) for network in networks]


def _peak(device: torch.device) -> int:
    """Return the peak memory so far, in bytes: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _run(done: Performed, device: torch.device) -> Run:
    return Run(
        steps=done.steps,
        epochs=done.epochs,
        seconds=done.seconds,
        peak_memory_bytes=_peak(device),
        stopped_because=done.stopped_because,
        lr=done.lr,
        probes=[_moment(Probed, probe.found, lr=probe.lr) for probe in done.probes],
        curve=[_moment(Moment, found) for found in done.curve],
        course=[
            Course(loss=loss, mu=_number(mu), sigma=_number(sigma))
            for *_, loss, mu, sigma in (epoch.tolist() for epoch in done.epochs_seen)
        ],
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _moment(kind: type[M], found: Look | None, **more: Any) -> M:
    figures = asdict(found) if found is not None else {}
    return kind.model_validate({name: figures.get(name) for name in kind.model_fields} | more)
