"""`falw evaluate`: metrics of a checkpoint as it is, and the verdict of its gates."""

from __future__ import annotations

from pathlib import Path

from falw_cli import checkpoint
from falw_cli.audit import gates
from falw_cli.audit.build import Occasion, all_metrics, build_report, class_targets
from falw_cli.audit.report import Report
from falw_cli.config import Config
from falw_cli.data.batches import resident
from falw_cli.evaluation.run import Judged, measure
from falw_cli.inputs import open_inputs
from falw_cli.progress import Progress


def evaluate(config: Config, progress: Progress, occasion: Occasion) -> Report:
    """Measure a checkpoint; write the report where `--report` names a file.

    Raises:
        RequestError: the request does not fit together; nothing was written.
    """
    path = Path(config.report) if config.report else None
    if path:
        checkpoint.check_writable(path, force=config.force)
    given = open_inputs(config, progress)
    config, network, parts = given.config, given.network, given.splits
    asked = [gates.parse(expression, network.classes) for expression in config.gate]
    device = network.fabric.device
    judged = Judged(
        resident(parts.forget, device), resident(parts.judged, device), resident(parts.test, device)
    )
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
        target=class_targets(network, resident(parts.heldout, device)),
        asked=asked,
    )
    if path:
        checkpoint.write_all({path: (report.model_dump_json(indent=2) + "\n").encode()})
    return report
