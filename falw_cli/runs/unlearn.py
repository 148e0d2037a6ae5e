"""`falw unlearn`: splits -> method x weighting -> loop -> unlearned checkpoint and audit report."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from falw_cli.audit import gates
from falw_cli.audit.build import Invocation, all_metrics, build_report, class_targets, run_section
from falw_cli.audit.earlier import earlier_section
from falw_cli.audit.report import Output, Report, Run
from falw_cli.audit.robustness import robustness
from falw_cli.audit.seal import to_text
from falw_cli.config.settings import Config
from falw_cli.data import ledger
from falw_cli.data.device import Streamed
from falw_cli.errors import RequestError
from falw_cli.evaluation.earlier import predictions as earlier_predictions
from falw_cli.evaluation.forgotten import BOUNDS, ExpectedProbabilities, claim
from falw_cli.evaluation.gap import FIELD, without_retain
from falw_cli.evaluation.gap_metric import described
from falw_cli.evaluation.measurement import metrics_of
from falw_cli.evaluation.metrics import AllMetrics, Metrics
from falw_cli.evaluation.plausibility import check_original
from falw_cli.evaluation.predictions import Predictions
from falw_cli.models import checkpoint, checkpoint_files
from falw_cli.models.checkpoint import Ancestor
from falw_cli.models.earlier import remember
from falw_cli.models.heldout_split import split_of
from falw_cli.models.inputs import warn_of_changes
from falw_cli.models.network import metadata
from falw_cli.runs.audited import Audited, audited
from falw_cli.runs.prepare import OpenedRun, Paths, belongs_to, open_request
from falw_cli.runtime import outputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.memory import peak_memory
from falw_cli.runtime.printable import decimal
from falw_cli.runtime.progress import Progress
from falw_cli.runtime.tracking import loggers, tracked
from falw_cli.training.state import StateFile
from falw_cli.unlearning.cost_estimate import estimate_cost
from falw_cli.unlearning.forgotten_share import expected_probabilities, reason_for_no_share
from falw_cli.unlearning.perform import UnlearningResult, perform
from falw_cli.unlearning.resolution import changed_flags


@dataclass(frozen=True)
class KnownMetrics:
    """Metrics that are known already: of the original and of each reference."""

    before: Metrics | None
    references: tuple[Metrics, ...]


def unlearn(
    config: Config,
    progress: Progress,
    interrupt: Interrupt,
    invocation: Invocation,
    known: KnownMetrics | None = None,
) -> Report:
    """Remove the influence of the forget list, measure, and write checkpoint and report.

    Args:
        config: resolved from flags and files.
        progress, interrupt: see `fit`.
        invocation: command and time, for the report.
        known: metrics that a bench has already measured.

    Raises:
        RequestError: the request is inconsistent; nothing was written.
        RunError: the run failed; nothing was written.
        Interrupted: a signal arrived; `--resume` continues the run.
    """
    config = without_retain(config)
    if config.forget is None:
        raise RequestError("--forget is missing: the IDs to forget", "give --forget ids.txt")
    fabric = make_fabric(config, loggers(config, Paths.of(config).out))
    with ExitStack() as held:
        opened = open_request(config, progress, fabric, held)
        checkpoint_files.refuse_other_weights(  # fail before the work
            opened.paths.out,
            lambda: _files(opened, opened.inputs.source.tensors, lr=0),
            force=config.force,
        )
        if isinstance(opened.run_data.whole, Streamed):
            progress.note("training samples are read on demand: they do not fit on the device")
        if config.dry_run:
            return _planned(opened, progress, invocation)
        held.enter_context(tracked(fabric, opened.config.unlearn.model_dump(mode="json")))
        return _run_opened(opened, progress, interrupt, invocation, known)


def _planned(opened: OpenedRun, progress: Progress, invocation: Invocation) -> Report:
    """Return the report of a dry run, with the cost estimated from a few steps on a copy."""
    network, run_data = opened.inputs.network, opened.run_data
    _states(opened).load(progress)  # refuses what the run would refuse
    original = Predictions.of(network, run_data.judged, opened.config.seed)
    check_original(original, network, run_data.judged, run_data.guide, progress)
    foreseen = estimate_cost(opened.config, run_data)
    plan = Run(
        steps=foreseen.steps, epochs=foreseen.epochs, seconds=foreseen.seconds,
        peak_memory_bytes=_peak(network.fabric.device), stopped_because="dry run",
    )  # fmt: skip
    nothing = AllMetrics(before=None, after=None, reference=None, noise_floor=None)
    earlier = earlier_section(opened.inputs.data.earlier, progress)
    return build_report(
        opened.config, opened.inputs, invocation, progress, run=plan, metrics=nothing,
        earlier=earlier,
    )  # fmt: skip


def _run_opened(
    opened: OpenedRun,
    progress: Progress,
    interrupt: Interrupt,
    invocation: Invocation,
    known: KnownMetrics | None,
) -> Report:
    """Measure, unlearn, measure, and write."""
    config, paths, inputs, run_data = opened.config, opened.paths, opened.inputs, opened.run_data
    network, fabric = inputs.network, inputs.network.fabric
    models = () if known else (network, *inputs.references)
    predictions = [Predictions.of(one, run_data.judged, config.seed) for one in models]
    if predictions:
        check_original(predictions[0], network, run_data.judged, run_data.guide, progress)
    earlier_before = [] if known else earlier_predictions(network, inputs.splits.earlier)
    references = known.references if known else tuple(metrics_of(one) for one in predictions[1:])
    states = _states(opened)
    done = perform(config, run_data, references, progress, interrupt, states)
    # Measure exactly what is written: the weights in the dtypes of the checkpoint.
    tensors = checkpoint.tensors_like(network.module, inputs.source)
    network.module.load_state_dict(tensors)
    expected = expected_probabilities(done.expectation) if done.expectation else None
    after = Predictions.of(network, run_data.judged, config.seed)
    if known:
        measured = metrics_of(after)
        if expected:
            measured = expected.add_shares(measured, after.forget.prob)
        found = Audited(all_metrics(known.before, measured, references))
    else:
        found = audited(opened, predictions, earlier_before, after, expected, progress)
    metrics = found.metrics
    _warn_of_harm(metrics, config.unlearn.max_utility_loss, progress)
    assert metrics.after is not None
    share = metrics.after.forgotten_share
    _warn_of_share(metrics, expected, config, done, progress)
    found_after = {f"after/{name}": getattr(metrics.after, name) for name in FIELD}
    fabric.log_dict({k: v for k, v in found_after.items() if v is not None}, done.steps)
    failed = share is None or claim(share) in ("not forgotten", "cannot tell")
    forgotten: Literal[False] | None = False if failed or inputs.data.unreadable else None
    content = _files(opened, tensors, done.lr, forgotten)
    warn_of_changes(inputs, progress)
    builtin = [gates.FORGOTTEN] if config.forgotten_gate and share else []
    builtin += [gates.READABLE] if config.forgotten_gate and inputs.data.unreadable else []
    entry = _entry(opened, checkpoint_files.digest_of(content), forgotten)
    report = build_report(
        config,
        inputs,
        invocation,
        progress,
        run=run_section(done, _peak(fabric.device)),
        metrics=metrics,
        comeback=found.comeback,
        corrections=found.corrections,
        earlier=found.earlier,
        pairs=expected.pairs(after.forget.prob) if expected else None,
        robustness=robustness(network, run_data.judged, inputs.references, config.seed)
        if config.robustness and not known
        else None,
        output=Output(path=str(paths.out), sha256=entry.output),
        target=class_targets(network, run_data.guide, done.target_quality),
        weights=done.epochs_seen,
        wanted_gates=[*opened.wanted_gates, *builtin],
        remarks=found.remarks,
        ledger_line=entry.of_run if config.ledger else None,
    )
    text = to_text(report).encode()
    entry = entry.model_copy(update={"report": hashlib.sha256(text).hexdigest()})
    if fabric.is_global_zero:
        pages = {}
        if config.html:
            from falw_cli.audit.page import NamedReport, display_name, html

            pages = {paths.page: html([NamedReport(display_name(paths.report), report)]).encode()}
        # The report is written last: its presence means that all files are complete.
        files = {**content, **pages, paths.report: text}
        outputs.write_all(files, line=_line(config, entry))
        states.remove()
    remember(entry)
    return report


def _states(opened: OpenedRun) -> StateFile:
    """Return the file of the run's saved state."""
    config = opened.config.model_copy(update={"dry_run": False})
    return StateFile.beside(opened.paths.out, belongs_to(config, opened.inputs), config)


def _entry(opened: OpenedRun, output: str, forgotten: Literal[False] | None) -> ledger.Entry:
    """Return what the ledger says of a run whose report is not written yet."""
    inputs, paths = opened.inputs, opened.paths
    return ledger.Run(
        ids=inputs.data.listed,
        model=inputs.described["model"]["sha256"],
        forget_list=inputs.described["forget_list"]["sha256"],
        output=output,
        output_name=paths.out.name,
        report=ledger.FIRST,
        report_name=paths.report.name,
        forgotten=forgotten,
    ).entry()


def _line(config: Config, entry: ledger.Entry) -> outputs.Line | None:
    """Return the line of the ledger, if there is one, to write in the same commit as the files."""
    if config.ledger is None:
        return None
    path = config.ledger
    return outputs.Line(Path(path), lambda content: ledger.next_line(content, entry, path))


def _files(
    opened: OpenedRun,
    tensors: dict[str, Tensor],
    lr: float,
    forgotten: Literal[False] | None = None,
) -> dict[Path, bytes]:
    """Return the files of the checkpoint to write."""
    inputs = opened.inputs
    said, model = inputs.source.metadata, inputs.described["model"]["sha256"]
    named = inputs.described["forget_list"]["sha256"]
    assert inputs.data.named is not None
    recipe = {**opened.config.unlearn.model_dump(mode="json"), "lr": lr}
    split = split_of(inputs.described, inputs.splits.test)
    notes = metadata(
        inputs.network,
        recipe=said.recipe if said else None,
        beside=said.beside if said else None,
        parent=model,
        ancestors=(
            *(said.chain if said else ()),
            Ancestor(
                sha256=model,
                forget_list=named,
                ids=inputs.data.named.ids_sha256,
                rows=inputs.data.row_mark,
                forgotten=forgotten,
            ),
        ),
        unlearned={"seed": opened.config.seed, **recipe, **split},
    )
    return checkpoint_files.written(opened.paths.out, tensors, notes, inputs.source)


def _warn_of_share(
    metrics: AllMetrics,
    expected: ExpectedProbabilities | None,
    config: Config,
    done: UnlearningResult,
    progress: Progress,
) -> None:
    """Warn of a missing share, and of a list that is not forgotten, with what to do."""
    share = metrics.after and metrics.after.forgotten_share
    if not share:
        progress.warn(reason_for_no_share(expected, metrics.before))
    elif config.forgotten_gate and share.upper < gates.FORGOTTEN.number:
        rates = ", ".join({f"{one.lr:.3g}": 0 for one in done.probes} or {f"{done.lr:.3g}": 0})
        progress.warn(
            f"the list is not forgotten: {decimal(share.value, 0, bounds=BOUNDS)} % of the way "
            f"(learning rate {rates}; {done.steps} steps); "
            "use more --epochs, another --lr or --method"
            + (f", or leave out {' and '.join(flags)}" if (flags := changed_flags(config)) else "")
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


def _peak(device: torch.device) -> int:
    """Return the peak memory so far, in bytes: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()
