"""`falw evaluate`: metrics of a checkpoint, and the verdict of its gates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from falw_cli.audit import gates
from falw_cli.audit.build import Occasion, all_figures, build_report, class_targets
from falw_cli.audit.comeback import comeback
from falw_cli.audit.gates import Gate
from falw_cli.audit.report import Report
from falw_cli.audit.seal import to_text
from falw_cli.config.settings import Config
from falw_cli.data.device import place
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import Weights, parse_weights
from falw_cli.evaluation.metrics import PerSample
from falw_cli.evaluation.predictions import Judged, Predictions
from falw_cli.models.inputs import Inputs, open_inputs, warn_of_changes
from falw_cli.runtime import outputs
from falw_cli.runtime.collectives import agreed, in_turn
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Progress


def evaluate(
    config: Config,
    progress: Progress,
    occasion: Occasion,
    per_sample: Callable[[Inputs], PerSample] | None = None,
) -> Report:
    """Measure a checkpoint; write the report if `--report` names a file.

    Args:
        config: resolved from flags and files.
        progress: see `Progress`.
        occasion: command and time, for the report.
        per_sample: runs the per-sample attacks that `falw audit` adds.

    Raises:
        RequestError: the request is inconsistent; nothing was written.
    """
    fabric = make_fabric(config)
    path = Path(config.report) if config.report and fabric.is_global_zero else None
    with ExitStack() as held:
        with agreed(fabric), in_turn(fabric):
            if path:
                held.enter_context(outputs.claimed([path], force=config.force))
            weights = parse_weights(config.metrics)
            given = open_inputs(config, progress, fabric)
            classes = given.network.classes
            asked = [gates.parse(expression, classes) for expression in config.gate]
        report = _measured(given, weights, asked, progress, occasion, per_sample)
        if path:
            outputs.write_all({path: to_text(report).encode()})
        return report


def _measured(
    given: Inputs,
    weights: Weights,
    asked: list[Gate],
    progress: Progress,
    occasion: Occasion,
    per_sample: Callable[[Inputs], PerSample] | None,
) -> Report:
    config, network = given.config, given.network
    device = network.fabric.device
    attacked = per_sample(given) if per_sample else None
    judged = Judged.of(given.splits, device)
    progress.start("evaluate", 1 + len(given.references))
    looked = []
    for one in (network, *given.references):
        looked.append(Predictions.of(one, judged, config.seed))
        progress.advance()
    found = full_audit(None, looked[0], looked[1:], weights)
    for warning in found.warnings:
        progress.note(f"note: {warning}")
    returned = None
    if config.relearn:
        returned = comeback(network, judged, looked[0], given.references, None)
    warn_of_changes(given, progress)
    return build_report(
        config,
        given,
        occasion,
        progress,
        metrics=all_figures(found),
        per_sample=attacked,
        comeback=returned,
        target=class_targets(network, place(given.splits.heldout, device)),
        asked=asked,
        remarks=found.warnings,
    )
