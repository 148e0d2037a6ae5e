"""`falw evaluate`: metrics of a checkpoint, and the verdict of its gates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from falw_cli.audit import gates
from falw_cli.audit.build import Invocation, build_report, class_targets
from falw_cli.audit.comeback import comeback
from falw_cli.audit.earlier import earlier_section
from falw_cli.audit.report import Report
from falw_cli.audit.robustness import robustness
from falw_cli.audit.seal import to_text
from falw_cli.config.paths import similar
from falw_cli.config.settings import Config
from falw_cli.data.device import place
from falw_cli.data.ledger import CHECK_PATH
from falw_cli.errors import RequestError
from falw_cli.evaluation.corrections import corrections
from falw_cli.evaluation.earlier import predictions as earlier_predictions
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import parse_weights, without_retain
from falw_cli.evaluation.per_sample import PerSample
from falw_cli.evaluation.plausibility import check_logits, check_plausible, check_unseen
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.models.inputs import Inputs, open_inputs, warn_of_changes
from falw_cli.runs.prepare import json_report, refuse_inputs
from falw_cli.runtime import outputs
from falw_cli.runtime.collectives import agreed, rank_zero_first
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.journal import is_present
from falw_cli.runtime.progress import Progress
from falw_cli.unlearning.forgotten_share import expected_from, reason_for_no_share


def evaluate(
    config: Config,
    progress: Progress,
    invocation: Invocation,
    per_sample: Callable[[Inputs], PerSample] | None = None,
) -> Report:
    """Measure a checkpoint; write the report if `--report` names a file.

    Args:
        config: resolved from flags and files.
        progress: see `Progress`.
        invocation: command and time, for the report.
        per_sample: runs the per-sample attacks that `falw audit` adds.

    Raises:
        RequestError: the request is inconsistent; nothing was written.
    """
    config = without_retain(config)
    fabric = make_fabric(config)
    path = json_report(config.report) if config.report and fabric.is_global_zero else None
    with ExitStack() as held:
        with agreed(fabric), rank_zero_first(fabric):
            if path:
                refuse_inputs(config, [path])
                held.enter_context(outputs.claimed([path], force=config.force))
            if config.ledger and not is_present(Path(config.ledger).resolve()):
                hint = f"{similar(config.ledger)}{CHECK_PATH}"
                raise RequestError(f"there is no ledger {config.ledger}", hint)
            weights = parse_weights(config.metrics)
            inputs = open_inputs(config, progress, fabric)
            classes = inputs.network.classes
            wanted_gates = [gates.parse(expression, classes) for expression in config.gate]
        config, network = inputs.config, inputs.network
        device = network.fabric.device
        attacked = per_sample(inputs) if per_sample else None
        judged = EvaluationSamples.of(inputs.splits, device)
        models = [network, *inputs.references, *([inputs.original] if inputs.original else [])]
        progress.start("evaluate", len(models))
        predictions = []
        for one in models:
            predictions.append(Predictions.of(one, judged, config.seed))
            progress.advance()
        _check_fit(inputs, judged, predictions[-1 if inputs.original else 0], progress)
        before = predictions.pop() if inputs.original else None
        expected = expected_from(inputs.original, inputs.splits) if inputs.original else None
        found = full_audit(before, predictions[0], predictions[1:], weights, expected)
        share = found.metrics.after and found.metrics.after.forgotten_share
        if inputs.original and len(inputs.splits.forget) and share is None:
            progress.warn(reason_for_no_share(expected, found.metrics.before))
        corrected = None
        if config.correct and inputs.data.right is not None:
            corrected = corrections(
                config.correct, inputs.data.right, before, predictions[0], predictions[1:]
            )
        returned = None
        if config.relearn:
            returned = comeback(network, judged, predictions[0], inputs.references, inputs.original)
        direct = inputs.described["original"] and inputs.described["original"].get("runs_back") == 1
        parts = inputs.splits.earlier
        earlier = earlier_section(
            inputs.data.earlier,
            progress,
            earlier_predictions(network, parts),
            earlier_predictions(inputs.original, parts) if inputs.original and direct else None,
            (before if direct else None, predictions[0]),
        )
        warn_of_changes(inputs, progress)
        report = build_report(
            config,
            inputs,
            invocation,
            progress,
            metrics=found.metrics,
            per_sample=attacked,
            comeback=returned,
            corrections=corrected,
            earlier=earlier,
            pairs=expected.pairs(predictions[0].forget.prob) if expected else None,
            robustness=robustness(network, judged, inputs.references, config.seed)
            if config.robustness
            else None,
            target=class_targets(network, place(inputs.splits.heldout, device)),
            wanted_gates=wanted_gates,
            remarks=found.warnings,
        )
        if path:
            outputs.write_all({path: to_text(report).encode()})
        return report


def _check_fit(
    inputs: Inputs, judged: EvaluationSamples, known: Predictions, progress: Progress
) -> None:
    """Warn if a model does not fit the training data, unless unlearning may be the reason."""
    said = inputs.source.metadata
    changed = said is not None and said.unlearned is not None and said.classes == known.classes
    if inputs.original is None and (changed or not known.retain):
        return
    try:
        check_plausible(known)
        check_logits(inputs.original or inputs.network, judged)
        check_unseen(known, progress)
    except RequestError as error:
        progress.warn(f"{error}; {error.hint}")
