"""Build the audit report from the results of a run."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from falw_cli.audit import gates, report
from falw_cli.audit.gates import Gate
from falw_cli.audit.report import (
    ClassTarget,
    Comeback,
    EpochWeights,
    Output,
    Report,
    Robustness,
    Run,
)
from falw_cli.audit.seal import seal
from falw_cli.config.settings import Config
from falw_cli.data.device import Samples
from falw_cli.evaluation.corrections import Corrections
from falw_cli.evaluation.earlier import EarlierRequests
from falw_cli.evaluation.gap import noise_floor
from falw_cli.evaluation.measurement import compare, mean_metrics
from falw_cli.evaluation.metrics import AllMetrics, Metrics, Pairs
from falw_cli.evaluation.per_sample import PerSample
from falw_cli.models.inputs import Inputs
from falw_cli.models.network import Network
from falw_cli.runtime.progress import Progress
from falw_cli.unlearning.perform import UnlearningResult
from falw_cli.unlearning.stop_estimate import Evaluation
from falw_cli.unlearning.target import Target, TargetQuality

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Invocation:
    """The command line and the time in UTC, which only the outermost layer knows."""

    command: tuple[str, ...]
    created: datetime

    @classmethod
    def now(cls) -> Invocation:
        """Return the current time and this process's command line."""
        return cls(tuple(sys.argv), datetime.now(timezone.utc))


def all_metrics(
    before: Metrics | None, after: Metrics, references: Sequence[Metrics]
) -> AllMetrics:
    """Compare the metrics before and after with the mean of the references; add the noise floor.

    `falw bench` uses this: it leaves out the intervals that need resampling.
    """
    reference = mean_metrics(references)
    return AllMetrics(
        before=compare(before, reference) if before else None,
        after=compare(after, reference),
        reference=reference,
        noise_floor=noise_floor(references),
    )


def class_targets(
    network: Network, guide: Samples, quality: TargetQuality | None = None
) -> dict[str, ClassTarget]:
    """Return mu and sigma of each class over the guiding held-out samples, FaLW equation 1.

    Args:
        network, guide: the model after unlearning, and the held-out samples.
        quality: accuracy of the run's target estimate, if the run needed a target.
    """
    if not len(guide):
        return {}
    found = Target.of(network.confidence(guide)[0], guide.labels, len(network.classes))
    result = {}
    for c, name in enumerate(network.classes):
        count, sigma = int(found.count[c]), float(found.sigma[c])
        why = "no held-out sample" if not count else "sigma is 0" if not sigma else None
        result[name] = ClassTarget(
            heldout_count=count,
            mu=float(found.mu[c]) if count else None,
            sigma=sigma if count else None,
            fallback=f"{why}: weight 1" if why else None,
            rests_on=float(quality.effective_samples[c]) if quality else None,
            mu_error=float(quality.mu_error[c]) if quality and count else None,
        )
    return result


def build_report(
    config: Config,
    inputs: Inputs,
    invocation: Invocation,
    progress: Progress,
    *,
    metrics: AllMetrics,
    per_sample: PerSample | None = None,
    comeback: Comeback | None = None,
    robustness: Robustness | None = None,
    corrections: Corrections | None = None,
    earlier: EarlierRequests | None = None,
    pairs: Pairs | None = None,
    run: Run | None = None,
    output: Output | None = None,
    target: dict[str, ClassTarget] | None = None,
    weights: Sequence[Tensor] = (),
    wanted_gates: Sequence[Gate] = (),
    remarks: Sequence[str] = (),
    ledger_line: str | None = None,
) -> Report:
    """Build the report and evaluate its gates.

    Args: weights, the summary of each epoch, see `Unlearning.epochs`; wanted_gates, to evaluate;
    remarks, warnings that were not shown; the others describe the run or are parts of the report.
    """
    network = inputs.network
    made = Report(
        created=invocation.created,
        command=list(invocation.command),
        config=_final_config(config, network),
        environment=_environment(network),
        inputs=report.Inputs.model_validate(inputs.described),
        output=output,
        forget=forget_section(inputs),
        run=run,
        metrics=metrics,
        per_sample=per_sample,
        comeback=comeback,
        robustness=robustness,
        corrections=corrections,
        earlier=earlier,
        pairs=pairs,
        target=target or {},
        weights=[
            EpochWeights(min=low, mean=mean, max=high)
            for low, mean, high, *_ in (epoch.tolist() for epoch in weights)
        ],
        gates=[],
        warnings=[*progress.warnings, *remarks],
        ledger_line=ledger_line,
    )
    judged = [gates.evaluate(gate, made) for gate in wanted_gates]
    return seal(made.model_copy(update={"gates": judged}))


def forget_section(inputs: Inputs) -> report.Forget:
    """Return the report's section on the sizes of the forget set."""
    forget, classes = inputs.splits.forget, inputs.network.classes
    counts = np.bincount(forget.labels, minlength=len(classes)).tolist()
    return report.Forget(
        count=len(forget),
        per_class=dict(zip(classes, counts, strict=True)),
        unknown=0,
        unreadable=inputs.data.unreadable,
        copies=inputs.data.copies,
    )


def run_section(done: UnlearningResult, peak: int) -> Run:
    """Return the report's section on an unlearning run that took `peak` bytes of memory."""
    return Run(
        steps=done.steps,
        epochs=done.epochs,
        seconds=done.seconds,
        peak_memory_bytes=peak,
        stopped_because=done.stopped_because,
        lr=done.lr,
        probes=[_figures(report.Probed, one.found, lr=one.lr) for one in done.probes],
        curve=[_figures(report.Moment, found) for found in done.curve],
        course=[
            report.Course(loss=loss, mu=_number(mu), sigma=_number(sigma))
            for *_, loss, mu, sigma in (epoch.tolist() for epoch in done.epochs_seen)
        ],
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _figures(kind: type[M], found: Evaluation | None, **more: Any) -> M:
    figures = asdict(found) if found is not None else {}
    return kind.model_validate({name: figures.get(name) for name in kind.model_fields} | more)


def _final_config(config: Config, network: Network) -> dict[str, Any]:
    """Return the final config, with the network's architecture, classes and preprocessing."""
    known = {name: getattr(network, name) for name in ("arch", "classes", "preprocessing")}
    return config.model_copy(update=known).model_dump(mode="json", exclude={"train"})


def _environment(network: Network) -> report.Environment:
    device = network.fabric.device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    bf16 = "bf16" in str(network.fabric._precision.precision)
    return report.Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        device=f"{device} ({kind})",
        precision="bf16" if bf16 else "fp32",
        threads=torch.get_num_threads(),
        ranks=network.fabric.world_size,
    )
