"""`falw evaluate`: metrics of a checkpoint as it is, and the verdict of its gates."""

from __future__ import annotations

from pathlib import Path

from falw_cli import checkpoint
from falw_cli.audit import gates
from falw_cli.audit.build import Occasion, all_metrics, build_report, class_targets
from falw_cli.audit.report import Report
from falw_cli.audit.seal import to_text
from falw_cli.config import Config
from falw_cli.data.device import place
from falw_cli.engine import make_fabric
from falw_cli.evaluation.run import Judged, measure
from falw_cli.inputs import open_inputs
from falw_cli.progress import Progress
from falw_cli.sharing import agreed, in_turn


def evaluate(config: Config, progress: Progress, occasion: Occasion) -> Report:
    """Measure a checkpoint; write the report where `--report` names a file.

    Raises:
        RequestError: the request does not fit together; nothing was written.
    """
    path = Path(config.report) if config.report else None
    fabric = make_fabric(config)
    with agreed(fabric), in_turn(fabric):
        if path and fabric.is_global_zero:
            checkpoint.check_writable(path, force=config.force)
        given = open_inputs(config, progress, fabric)
        config, network = given.config, given.network
        asked = [gates.parse(expression, network.classes) for expression in config.gate]
    judged = Judged.of(given.splits, fabric.device)
    progress.start("evaluate", 1 + len(given.references))
    after = measure(network, judged, config.seed)
    progress.advance()
    references = []
    for reference in given.references:
        references.append(measure(reference, judged, config.seed))
        progress.advance()
    report = build_report(
        config,
        given,
        occasion,
        progress,
        metrics=all_metrics(None, after, references),
        target=class_targets(network, place(given.splits.heldout, fabric.device)),
        asked=asked,
    )
    if path and fabric.is_global_zero:
        checkpoint.write_all({path: to_text(report).encode()})
    return report
