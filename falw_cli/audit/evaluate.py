"""`falw evaluate`: metrics of a checkpoint as it is, and the verdict of its gates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from falw_cli import checkpoint
from falw_cli.audit import gates
from falw_cli.audit.build import Occasion, build_report, class_targets, studied
from falw_cli.audit.comeback import comeback
from falw_cli.audit.report import Report
from falw_cli.audit.seal import to_text
from falw_cli.config import Config
from falw_cli.data.device import place
from falw_cli.engine import make_fabric
from falw_cli.evaluation.evidence import Evidence, Judged
from falw_cli.evaluation.gap import parse_weights
from falw_cli.evaluation.metrics import PerSample
from falw_cli.evaluation.study import study
from falw_cli.inputs import Inputs, open_inputs
from falw_cli.progress import Progress
from falw_cli.sharing import agreed, in_turn


def evaluate(
    config: Config,
    progress: Progress,
    occasion: Occasion,
    per_sample: Callable[[Inputs], PerSample] | None = None,
) -> Report:
    """Measure a checkpoint; write the report where `--report` names a file.

    Args:
        config: as resolved from flags and files.
        progress: see `Progress`.
        occasion: command and time, for the report.
        per_sample: attacks made for each sample, which `falw audit` adds.

    Raises:
        RequestError: the request does not fit together; nothing was written.
    """
    path = Path(config.report) if config.report else None
    fabric = make_fabric(config)
    with agreed(fabric), in_turn(fabric):
        if path and fabric.is_global_zero:
            checkpoint.check_writable(path, force=config.force)
        weights = parse_weights(config.metrics)
        given = open_inputs(config, progress, fabric)
        config, network = given.config, given.network
        asked = [gates.parse(expression, network.classes) for expression in config.gate]
    attacked = per_sample(given) if per_sample else None
    judged = Judged.of(given.splits, fabric.device)
    progress.start("evaluate", 1 + len(given.references))
    looked = []
    for one in (network, *given.references):
        looked.append(Evidence.of(one, judged, config.seed))
        progress.advance()
    found = study(None, looked[0], looked[1:], weights)
    for warning in found.warnings:
        progress.warn(warning)
    returned = None
    if config.relearn:
        returned = comeback(network, judged, looked[0], given.references, None)
    report = build_report(
        config,
        given,
        occasion,
        progress,
        metrics=studied(found),
        per_sample=attacked,
        comeback=returned,
        target=class_targets(network, place(given.splits.heldout, fabric.device)),
        asked=asked,
    )
    if path and fabric.is_global_zero:
        checkpoint.write_all({path: to_text(report).encode()})
    return report
