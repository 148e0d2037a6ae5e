"""A synthetic report that has every section and contains hostile names."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache

import numpy as np
import torch

from falw_cli.audit.gate_result import GateResult
from falw_cli.audit.report import (
    AgainstRetrain,
    Comeback,
    Course,
    EpochWeights,
    Moment,
    Relearned,
    Report,
    Robustness,
    Rounded,
    Run,
)
from falw_cli.audit.seal import seal
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import FIELD
from falw_cli.evaluation.metrics import Figure, Pairs
from falw_cli.evaluation.per_sample import Evidence, PerSample, SampleAttack, SampleEvidence
from falw_cli.evaluation.predictions import Predictions
from falw_cli.evaluation.scores import SamplePredictions, columns

FIGURE = Figure(value=0.5, lower=0.4, upper=0.6)
HOSTILE = "<script>alert(1)</script>"
CLASSES = (HOSTILE, "b | *c*", "$x^2$ \x1b[31m", "d" * 80)


def predictions(seed: int, forget: float) -> Predictions:
    """Predictions whose true-class logits are `forget` higher on forget samples."""
    rng = np.random.default_rng(seed)
    seen = []
    for sizes, lift in (([90, 40, 20, 8], forget), ([100] * 4, 6.0), ([80] * 4, 1.5)):
        label = np.repeat(range(4), sizes)
        logits = rng.normal(size=(len(label), 4))
        logits[np.arange(len(label)), label] += lift
        found = columns(torch.from_numpy(logits), torch.from_numpy(label)).numpy().T
        seen.append(SamplePredictions(label, found[0].astype(np.int64), *found[1:]))
    return Predictions(CLASSES, *seen, seed=0)


def per_sample() -> PerSample:
    """Per-sample results of shadow models that detect nothing."""
    attack = SampleAttack(
        auc=FIGURE, tpr_at_fpr_1=FIGURE, tpr_at_fpr_01=FIGURE, distinguished=FIGURE
    )
    return PerSample(models=16, forget=158, ulira=attack, rmia=attack, klom=FIGURE, klom_chance=1.0)


def pairs(count: int) -> Pairs:
    """Pairs of `count` samples that were memorised and then forgotten, with noise."""
    rng = np.random.default_rng(count)
    expected = np.sort(rng.beta(3, 1, count))
    found = {
        "expected": expected, "before": rng.beta(40, 1, count),
        "after": np.clip(expected + rng.normal(0, 0.1, count), 0, 1),
    }  # fmt: skip
    return Pairs(**{name: one.round(4).tolist() for name, one in found.items()})


def evidence(count: int) -> PerSample:
    """Evidence on a short list: learned before, not distinguished after."""
    before = Evidence(log_ratio=9.0, membership=90.0, false_positive_rate=100 / 9, upper=31.2)
    after = Evidence(log_ratio=0.0, membership=50.0, false_positive_rate=500 / 9, upper=80.7)
    samples = [
        SampleEvidence(position=position, before=before, after=after)
        for position in range(1, count + 1)
    ]
    return PerSample(models=16, forget=count, samples=samples, smallest_rate=100 / 9)


@cache
def report(after: float = 1.5, references: int = 2) -> Report:
    """A report on a model whose true-class logits are `after` higher on forget samples."""
    retrains = [predictions(seed, 1.5) for seed in range(2, 2 + references)]
    found = full_audit(predictions(0, 6.0), predictions(1, after), retrains, FIELD)
    moments = [
        Moment(step=step, distance=0.1, estimated_gap=9.0 - step, retain_accuracy=99,
               heldout_accuracy=70, gap=None)
        for step in range(5)
    ]  # fmt: skip
    data = {"spec": f"imagefolder:{HOSTILE}", "sha256": "0" * 64, "count": 600, "used": 600}
    made = Report.model_validate(
        {
            "created": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "command": ["falw", "unlearn", HOSTILE],
            "config": {"unlearn": {"method": "match", "weighting": "falw"}},
            "environment": {
                "python": "3", "torch": "2", "device": "cpu", "precision": "fp32", "threads": 1,
            },
            "inputs": {
                "model": {"path": f"{HOSTILE}.safetensors", "sha256": "0" * 64},
                "forget_list": {"sha256": "0" * 64, "count": 158}, "data": data,
                "heldout": data, "test": None, "references": [],
            },
            "output": {"path": "out.safetensors", "sha256": "0" * 64},
            "forget": {"count": 158, "per_class": {}, "unknown": 0},
            "run": Run(
                steps=40, epochs=3, seconds=1.5, peak_memory_bytes=1, stopped_because="enough",
                curve=moments,
                course=[Course(loss=1 / e, mu=0.5, sigma=0.2) for e in range(1, 4)],
            ),
            "metrics": found.metrics,
            "per_sample": per_sample(),
            "robustness": Robustness(
                noise=0.03, copies=100, samples=158, forget=FIGURE, unseen=FIGURE,
                difference=FIGURE,
                references=[
                    AgainstRetrain(forget=FIGURE, difference=FIGURE, ratio=ratio, ratio_samples=9)
                    for ratio in (1.25, None)
                ],
            ),
            "pairs": pairs(158),
            "comeback": Comeback(
                fp16=Rounded(forget_change=FIGURE, test_change=None),
                int8=Rounded(forget_change=FIGURE, test_change=FIGURE),
                relearned=Relearned(
                    samples=9, goal=99, returned_after=3, reference_returned_after=[None, 8],
                    excess=37, reference_excess=[1, 2],
                    curve=[(0, 60, 50), (3, 99, 52)], reference_curve=[(0, 50, 50), (8, 99, 55)],
                ),
            ),
            "target": {},
            "weights": [EpochWeights(min=0, mean=1, max=2)] * 3,
            "gates": [
                GateResult(expression="avg_gap<=2", value=1.0, passed=True),
                GateResult(expression=f"per_class.{HOSTILE}.test_accuracy>9", value=None,
                           passed=False),
            ],
            "warnings": [f"class {HOSTILE} is strange"],
        }
    )  # fmt: skip
    return seal(made)


def with_share(made: Report) -> Report:
    """Return a report with a forgotten share, also of its largest class and of the head."""
    after = made.metrics.after
    assert after is not None
    assert after.groups is not None
    share = {"forgotten_share": Figure(value=93, lower=80, upper=104)}
    largest = after.per_class[HOSTILE].model_copy(update=share)
    head = after.groups.head.model_copy(update=share)
    more = {
        "per_class": after.per_class | {HOSTILE: largest},
        "groups": after.groups.model_copy(update={"head": head}),
    }
    after = after.model_copy(update=share | more)
    metrics = made.metrics.model_copy(update={"after": after})
    return seal(made.model_copy(update={"metrics": metrics}))
