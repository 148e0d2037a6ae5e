"""What `falw unlearn` measures after a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from falw_cli.audit.comeback import comeback
from falw_cli.audit.earlier import Each, earlier_section
from falw_cli.audit.report import Comeback
from falw_cli.evaluation.corrections import Corrections, corrections
from falw_cli.evaluation.earlier import EarlierRequests
from falw_cli.evaluation.earlier import predictions as earlier_predictions
from falw_cli.evaluation.forgotten import ExpectedProbabilities
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import parse_weights
from falw_cli.evaluation.metrics import AllMetrics
from falw_cli.evaluation.predictions import Predictions
from falw_cli.models import checkpoint
from falw_cli.models.inputs import Inputs
from falw_cli.runs.prepare import OpenedRun
from falw_cli.runtime.progress import Progress
from falw_cli.unlearning.run_data import RunData


@dataclass(frozen=True)
class Audited:
    """What is measured after a run; without an audit, the metrics alone."""

    metrics: AllMetrics
    remarks: tuple[str, ...] = ()
    comeback: Comeback | None = None
    corrections: Corrections | None = None
    earlier: EarlierRequests | None = None


def audited(
    opened: OpenedRun,
    predictions: Sequence[Predictions],
    earlier_before: Each,
    after: Predictions,
    expected: ExpectedProbabilities | None,
    progress: Progress,
) -> Audited:
    """Compare the unlearned model with the original and with the references.

    Args:
        opened: the run.
        predictions: those of the original, then of each reference.
        earlier_before: the original's predictions for samples of earlier requests.
        after: the unlearned model's predictions.
        expected: the expectation of the forget samples, if there is one.
        progress: receives warnings.
    """
    config, inputs, run_data = opened.config, opened.inputs, opened.run_data
    before, *retrained = predictions
    found = full_audit(before, after, retrained, parse_weights(config.metrics), expected)
    right = inputs.data.right if config.correct else None
    again = earlier_predictions(inputs.network, inputs.splits.earlier)
    return Audited(
        found.metrics, found.warnings,
        _comeback(inputs, run_data, after) if config.relearn else None,
        corrections(config.correct or "", right, before, after, retrained)
        if right is not None
        else None,
        earlier_section(inputs.data.earlier, progress, again, earlier_before, (before, after)),
    )  # fmt: skip


def _comeback(inputs: Inputs, run_data: RunData, after: Predictions) -> Comeback | None:
    """Return the test of recovery, compared with the original."""
    original = inputs.network.copy()
    checkpoint.load_weights(original.module, inputs.source, inputs.network.arch)
    return comeback(inputs.network, run_data.judged, after, inputs.references, original)
