"""The figures that a gap may be made of: what each is, and how it scatters with the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from falw_cli.evaluation import calibration, intervals
from falw_cli.evaluation.evidence import Evidence, Resamples
from falw_cli.evaluation.metrics import Metrics
from falw_cli.evaluation.roc import attack, matching
from falw_cli.evaluation.scores import HEADLINE, Vector


@dataclass(frozen=True)
class Kind:
    """A figure in percent: read from metrics, and drawn again from evidence.

    `read` gives None where it has no value; `draw` gives [B], and is called only where it has one.
    """

    read: Callable[[Metrics], float | None]
    draw: Callable[[Evidence, Resamples], Vector]


def _group(name: str) -> Kind:
    def read(metrics: Metrics) -> float | None:
        found = getattr(metrics.groups, name) if metrics.groups else None
        return found.forget_accuracy if found else None

    def draw(evidence: Evidence, again: Resamples) -> Vector:
        rows = np.flatnonzero(np.isin(evidence.forget.labels, evidence.thirds[name]))
        return 100 * intervals.means(again.forget[:, rows], evidence.forget.correct[rows])

    return Kind(read, draw)


def _mia_efficacy(evidence: Evidence, again: Resamples) -> Vector:
    assert evidence.strangers is not None
    drawn = 100 * intervals.means(again.forget, evidence.strangers)
    return drawn + np.resize(evidence.attack_noise, len(drawn))


def _mia_auc(evidence: Evidence, again: Resamples) -> Vector:
    weights = matching(evidence.forget.labels, evidence.test.labels)
    scores = (evidence.forget.score(HEADLINE), evidence.test.score(HEADLINE))
    return 100 * attack(*scores, weights, (again.forget, again.test)).auc_draws


KINDS: dict[str, Kind] = {
    "forget_accuracy": Kind(
        lambda metrics: metrics.forget_accuracy,
        lambda evidence, again: 100 * intervals.means(again.forget, evidence.forget.correct),
    ),
    "retain_accuracy": Kind(
        lambda metrics: metrics.retain_accuracy,
        lambda evidence, again: 100 * intervals.means(again.retain, evidence.retain.correct),
    ),
    "test_accuracy": Kind(
        lambda metrics: metrics.test_accuracy,
        lambda evidence, again: 100 * intervals.means(again.test, evidence.test.correct),
    ),
    "mia_efficacy": Kind(lambda metrics: metrics.mia_efficacy, _mia_efficacy),
    "mia_auc": Kind(lambda metrics: 100 * metrics.mia.auc.value if metrics.mia else None, _mia_auc),
    "calibration_error": Kind(
        lambda metrics: metrics.calibration_error,
        lambda evidence, again: (
            100
            * calibration.calibration_error(evidence.test.top, evidence.test.correct, again.test)
        ),
    ),
    "head_accuracy": _group("head"),
    "mid_accuracy": _group("mid"),
    "tail_accuracy": _group("tail"),
}


def noise(names: Sequence[str], evidence: Evidence, again: Resamples) -> Vector:
    """How figures scatter when the samples are drawn again, around their mean. -> [B, K]"""
    drawn = np.stack([KINDS[name].draw(evidence, again) for name in names], axis=1)
    deviations: Vector = drawn - drawn.mean(axis=0)
    return deviations
