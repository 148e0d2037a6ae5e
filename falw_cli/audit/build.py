"""Build the audit report from the results of a run."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch

from falw_cli.audit import gates, report
from falw_cli.audit.gates import Gate
from falw_cli.audit.report import (
    AllMetrics,
    ClassTarget,
    Environment,
    EpochWeights,
    Forget,
    Output,
    Report,
    Run,
)
from falw_cli.audit.seal import seal
from falw_cli.config.settings import Config
from falw_cli.data.device import Samples
from falw_cli.evaluation.full_audit import Audit
from falw_cli.evaluation.gap import noise_floor
from falw_cli.evaluation.measurement import compare, mean_metrics
from falw_cli.evaluation.metrics import Comeback, Metrics, PerSample
from falw_cli.models.inputs import Inputs
from falw_cli.models.network import Network
from falw_cli.runtime.progress import Progress
from falw_cli.unlearning.target import Target, TargetQuality


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


def all_figures(found: Audit) -> AllMetrics:
    """Return all metrics of an audit."""
    names = AllMetrics.model_fields
    return AllMetrics(**{name: getattr(found, name) for name in names})


def class_targets(
    network: Network, guide: Samples, quality: TargetQuality | None = None
) -> dict[str, ClassTarget]:
    """Return mu and sigma of each class over the guiding held-out samples, FaLW equation 1.

    Args:
        network, guide: the model after unlearning, and the held-out samples.
        standing: accuracy of the run's target estimate, if the run needed a target.
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
    run: Run | None = None,
    output: Output | None = None,
    target: dict[str, ClassTarget] | None = None,
    weights: Sequence[EpochWeights] = (),
    asked: Sequence[Gate] = (),
    remarks: Sequence[str] = (),
) -> Report:
    """Build the report and evaluate its gates; `remarks` are warnings that were not shown."""
    network, forget = inputs.network, inputs.splits.forget
    counts = np.bincount(forget.labels, minlength=len(network.classes)).tolist()
    made = Report(
        created=invocation.created,
        command=list(invocation.command),
        config=_final_config(config, network),
        environment=_environment(network),
        inputs=report.Inputs.model_validate(inputs.described),
        output=output,
        forget=Forget(
            count=len(forget), per_class=dict(zip(network.classes, counts, strict=True)), unknown=0
        ),
        run=run,
        metrics=metrics,
        per_sample=per_sample,
        comeback=comeback,
        target=target or {},
        weights=list(weights),
        gates=[],
        warnings=[*progress.warnings, *remarks],
    )
    judged = [gates.evaluate(gate, made) for gate in asked]
    return seal(made.model_copy(update={"gates": judged}))


def _final_config(config: Config, network: Network) -> dict[str, Any]:
    """Return the final config, with the network's architecture, classes and preprocessing."""
    known = {
        "arch": network.arch,
        "classes": network.classes,
        "preprocessing": network.preprocessing,
    }
    return config.model_copy(update=known).model_dump(mode="json", exclude={"train"})


def _environment(network: Network) -> Environment:
    device = network.fabric.device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    bf16 = "bf16" in str(network.fabric._precision.precision)
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        device=f"{device} ({kind})",
        precision="bf16" if bf16 else "fp32",
        threads=torch.get_num_threads(),
        ranks=network.fabric.world_size,
    )
