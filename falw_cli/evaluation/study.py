"""The whole audit of a model: every figure with its interval, against unseen data and Retrain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from falw_cli.evaluation import distance, intervals, roc
from falw_cli.evaluation.evidence import Evidence, Resamples
from falw_cli.evaluation.figures import KINDS, noise
from falw_cli.evaluation.gap import Weights, against_seeds, avg_gap, gap_interval, noise_floor
from falw_cli.evaluation.metrics import (
    Apart,
    Attack,
    Changes,
    ClassChange,
    Distance,
    Figure,
    GroupApart,
    Groups,
    GroupsApart,
    InGroups,
    Interval,
    Membership,
    Metrics,
    Scores,
    Seeds,
)
from falw_cli.evaluation.run import compare, mean_metrics, metrics_of
from falw_cli.evaluation.scores import ATTACK_SCORES, HEADLINE, Seen, Vector

BINS = 20
FEW_FORGET, FEW_UNSEEN = 5, 5
"""A class with fewer has no distance and no AUC of its own."""
RETAINED = 5000
"""Retain samples whose exposure is measured."""
SHORTEST = {0.01: 100, 0.001: 1000}
"""Unseen samples below which a true-positive rate at so small a false-positive rate says little."""


@dataclass(frozen=True)
class Study:
    """Metrics of all models of a run, and what lies between them."""

    before: Metrics | None
    after: Metrics
    references: tuple[Metrics, ...]
    reference: Metrics | None
    noise_floor: float | None
    changes: Changes | None
    seeds: Seeds | None
    warnings: tuple[str, ...]


def study(
    before: Evidence | None,
    after: Evidence,
    references: Sequence[Evidence],
    weights: Weights,
) -> Study:
    """Measure, with intervals.

    Args:
        before: of the original, where there is one.
        after: of the model that is audited.
        references: of Retrain models.
        weights: of the figures that the Avg. Gap is made of.
    """
    again = Resamples.of(after)
    original = [before] if before is not None else []
    models = [*original, after, *references]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy and the SVC let others run meanwhile
        examined = pool.map(lambda one: _examined(one, again), models)
        whole = dict(zip(map(id, models), examined, strict=True))
    retrains = [whole[id(one)] for one in references]
    mean = mean_metrics(retrains)
    scatter: dict[int, Vector] = {}
    if mean is not None and avg_gap(whole[id(after)], mean, weights) is not None:
        scatter = {id(one): noise(list(weights), one, again) for one in models}

    def against(one: Evidence) -> Metrics:
        found = compare(whole[id(one)], mean, weights)
        if mean is None:
            return found
        if scatter:
            others = np.stack([scatter[id(other)] for other in references])
            between = scatter[id(one)] - others.mean(axis=0)
            lower, upper = gap_interval(found, mean, between, weights)
            more = {"avg_gap": Interval(lower=lower, upper=upper)}
            found = found.model_copy(update={"intervals": found.intervals | more})
        return _with_deviations(found, one, references)

    seeds = None
    if scatter:
        pairs = [(whole[id(one)], scatter[id(one)]) for one in (after, *references)]
        seeds = against_seeds(pairs[0], pairs[1:], weights)
    return Study(
        before=against(before) if before is not None else None,
        after=against(after),
        references=tuple(retrains),
        reference=mean,
        noise_floor=noise_floor(retrains, weights),
        changes=_changes(before, after) if before is not None else None,
        seeds=seeds,
        warnings=tuple(_warnings(after)),
    )


def _examined(evidence: Evidence, again: Resamples) -> Metrics:
    """All of a model's metrics that need no other model."""
    found = metrics_of(evidence)
    more = {}
    if found.calibration_error is not None:
        draws = KINDS["calibration_error"].draw(evidence, again)
        more["calibration_error"] = _percent(intervals.around(found.calibration_error, draws))
    if evidence.strangers is not None:
        share, spread = float(evidence.strangers.mean()), float(evidence.attack_noise.std()) / 100
        own = intervals.wilson(share, len(evidence.strangers))
        # Forget samples are one source of scatter, those that the attack is trained with another.
        noise_ends = (-intervals.Z * spread, intervals.Z * spread)
        ends = intervals.apart(share, own, 0.0, noise_ends)
        more["mia_efficacy"] = _percent((100 * ends[0], 100 * ends[1]))
    return found.model_copy(
        update={
            "intervals": found.intervals | more,
            "mia": _membership(evidence, again),
            "distance": _distance(evidence, again),
        }
    )


def _percent(ends: intervals.Interval) -> Interval:
    """Ends, in percent, within what a share can be."""
    return Interval(lower=max(0.0, ends[0]), upper=min(100.0, ends[1]))


def _figure(value: float, ends: intervals.Interval, unit: float = 1) -> Figure:
    return Figure(value=unit * value, lower=unit * ends[0], upper=unit * ends[1])


def _attack(found: roc.Attack) -> Attack:
    one, tenth = (
        _figure(value, ends, 100)
        for value, ends in zip(found.tpr, found.tpr_intervals, strict=True)
    )
    return Attack(auc=_figure(found.auc, found.auc_interval), tpr_at_fpr_1=one, tpr_at_fpr_01=tenth)


def _membership(evidence: Evidence, again: Resamples) -> Membership | None:
    forget, test = evidence.forget, evidence.test
    weights = roc.matching(forget.labels, test.labels)
    if not weights[1].any():
        return None
    draws = (again.forget, again.test)
    found = {
        name: roc.attack(forget.score(name), test.score(name), weights, draws)
        for name in ATTACK_SCORES
    }
    attacks = {name: _attack(one) for name, one in found.items()}
    classes = [
        (name, _within(evidence, again, [c]))
        for c, name in enumerate(evidence.classes)
        if evidence.forget_count[c]
    ]
    groups = [(name, _within(evidence, again, of)) for name, of in evidence.thirds.items()]
    return Membership(
        **attacks[HEADLINE].model_dump(),
        scores=Scores(**attacks),
        retained=_retained(evidence, again),
        per_class={name: one for name, one in classes if one},
        groups=InGroups(**dict(groups)),
        curve=_thinned(found[HEADLINE].curve),
    )


def _within(evidence: Evidence, again: Resamples, classes: list[int]) -> Figure | None:
    """AUC among the samples of some classes."""
    mine = [np.flatnonzero(np.isin(s.labels, classes)) for s in (evidence.forget, evidence.test)]
    if len(mine[0]) < FEW_FORGET or len(mine[1]) < FEW_UNSEEN:
        return None
    forget, test = evidence.forget.of_rows(mine[0]), evidence.test.of_rows(mine[1])
    weights = roc.matching(forget.labels, test.labels)
    if not weights[1].any():
        return None
    draws = (again.forget[:, mine[0]], again.test[:, mine[1]])
    found = roc.attack(forget.score(HEADLINE), test.score(HEADLINE), weights, draws)
    return _figure(found.auc, found.auc_interval)


def _retained(evidence: Evidence, again: Resamples) -> Attack | None:
    """The attack on those who stay."""
    rng = np.random.default_rng([evidence.seed, 10])
    rows = np.sort(rng.permutation(len(evidence.retain))[:RETAINED])
    retain, test = evidence.retain.of_rows(rows), evidence.test
    weights = roc.matching(retain.labels, test.labels)
    if not weights[1].any():
        return None
    draws = (again.retain[:, rows], again.test)
    return _attack(roc.attack(retain.score(HEADLINE), test.score(HEADLINE), weights, draws))


def _thinned(curve: roc.Curve) -> list[tuple[float, float]]:
    """Some points of a ROC, more of them where false positives are few."""
    at = np.unique(np.concatenate([[0.0], np.logspace(-4, 0, 81), np.linspace(0, 1, 41)]))
    return [(float(x), float(y)) for x, y in zip(at, curve.at(at), strict=True)]


def _distance(evidence: Evidence, again: Resamples) -> Distance | None:
    parts: dict[int, distance.ClassDistance] = {}
    rng = np.random.default_rng([evidence.seed, 11])
    forget, test = evidence.forget, evidence.test
    for c in np.flatnonzero(evidence.forget_count).tolist():
        mine = [np.flatnonzero(seen.labels == c) for seen in (forget, test)]
        if len(mine[0]) < FEW_FORGET or len(mine[1]) < FEW_UNSEEN:
            continue
        draws = (again.forget[:, mine[0]], again.test[:, mine[1]])
        parts[c] = distance.class_distance(forget.prob[mine[0]], test.prob[mine[1]], draws, rng)
    if not parts:
        return None

    def over(classes: Sequence[int]) -> dict[str, float]:
        some = [c for c in classes if c in parts]
        found = distance.together(
            [parts[c] for c in some], [int(evidence.forget_count[c]) for c in some]
        )
        lower, upper = found.interval
        return {
            "value": found.value, "lower": lower, "upper": upper,
            "chance": found.chance, "p_value": found.p_value,
        }  # fmt: skip

    return Distance(
        **over(list(parts)),
        per_class={evidence.classes[c]: Apart(**over([c])) for c in parts},
        groups=GroupsApart(
            **{
                name: GroupApart(**over(classes), **_histograms(evidence, classes))  # type: ignore[arg-type]
                for name, classes in evidence.thirds.items()
                if any(c in parts for c in classes)
            }
        ),
    )


def _histograms(evidence: Evidence, classes: list[int]) -> dict[str, list[float]]:
    """Distributions of true-class probability, unseen samples mixed as the forget samples are."""
    forget, test = (
        seen.of_rows(np.flatnonzero(np.isin(seen.labels, classes)))
        for seen in (evidence.forget, evidence.test)
    )
    weights = roc.matching(forget.labels, test.labels)
    return {
        name: np.histogram(seen.prob, BINS, (0, 1), weights=weight)[0].tolist()
        for name, seen, weight in (
            ("forget_histogram", forget, weights[0]), ("unseen_histogram", test, weights[1]),
        )
    }  # fmt: skip


def _with_deviations(found: Metrics, own: Evidence, references: Sequence[Evidence]) -> Metrics:
    """The groups with intervals of their deviations, from Retrain and from unseen data."""
    if found.groups is None:
        return found
    differences = {
        "deviation": own.forget.correct - np.mean([r.forget.correct for r in references], axis=0),
        "probability_deviation": own.forget.prob
        - np.mean([r.forget.prob for r in references], axis=0),
    }
    groups = {}
    for name, classes in own.thirds.items():
        group = getattr(found.groups, name)
        rows = np.isin(own.forget.labels, classes)
        more = {
            key: _scaled(intervals.paired(values[rows]), 100 if key == "deviation" else 1)
            for key, values in differences.items()
            if rows.any()
        }
        groups[name] = group.model_copy(update={"intervals": group.intervals | more})
    return found.model_copy(update={"groups": Groups(**groups)})


def _scaled(ends: intervals.Interval, unit: float) -> Interval:
    return Interval(lower=unit * ends[0], upper=unit * ends[1])


def _changes(before: Evidence, after: Evidence) -> Changes:
    pairs = {"retain": (before.retain, after.retain), "test": (before.test, after.test)}

    def agreement(one: Seen, other: Seen) -> Figure | None:
        if not len(one):
            return None
        share = float((one.predicted == other.predicted).mean())
        return _figure(share, intervals.wilson(share, len(one)), 100)

    def change(one: Seen, other: Seen, c: int) -> Figure | None:
        rows = one.labels == c
        difference: Vector = other.correct[rows] - one.correct[rows]
        if not len(difference):
            return None
        return _figure(float(difference.mean()), intervals.paired(difference), 100)

    return Changes(
        retain_agreement=agreement(*pairs["retain"]),
        test_agreement=agreement(*pairs["test"]),
        per_class={
            name: ClassChange(
                retain_accuracy=change(*pairs["retain"], c), test_accuracy=change(*pairs["test"], c)
            )
            for c, name in enumerate(before.classes)
        },
    )


def _warnings(evidence: Evidence) -> list[str]:
    """Which figures rest on too few samples."""
    found = []
    count = evidence.forget_count
    unseen = np.bincount(evidence.test.labels, minlength=len(count))
    few = np.flatnonzero((count > 0) & ((count < FEW_FORGET) | (unseen < FEW_UNSEEN)))
    if len(few):
        shown = ", ".join(repr(evidence.classes[c]) for c in few[:5]) + (
            f" and {len(few) - 5} more" if len(few) > 5 else ""
        )
        found.append(
            f"fewer than {FEW_FORGET} forget or {FEW_UNSEEN} test samples: class {shown}; "
            "no distance and no AUC of its own"
        )
    for rate, least in SHORTEST.items():
        if len(count) and len(evidence.forget) and 0 < len(evidence.test) < least:
            found.append(
                f"true-positive rates at {100 * rate:g} % false positives rest on "
                f"{len(evidence.test)} test samples; {least:,} or more are wanted"
            )
    return found
