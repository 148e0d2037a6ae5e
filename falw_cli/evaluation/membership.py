"""The class-matched attack: distinguishing forget samples from unseen ones of their classes."""

from __future__ import annotations

import numpy as np

from falw_cli.evaluation import roc
from falw_cli.evaluation.auc_interval import matched_auc
from falw_cli.evaluation.distance import FEW_FORGET, FEW_UNSEEN
from falw_cli.evaluation.forgotten import ExpectedProbabilities
from falw_cli.evaluation.metrics import Attack, Figure, InGroups, Membership, Scores
from falw_cli.evaluation.predictions import Predictions, Resamples
from falw_cli.evaluation.scores import ATTACK_SCORES, HEADLINE, SamplePredictions, Vector

RETAINED = 5000
"""Maximum number of retain samples that are attacked."""
STRATA = 20
"""Number of strata of difficulty, with equally many unseen samples."""


def matched_attack(
    sides: tuple[SamplePredictions, SamplePredictions],
    draws: tuple[roc.Draws, roc.Draws],
    score: str = HEADLINE,
) -> roc.Attack | None:
    """Attack members by a score; None with too few non-members in the members' classes."""
    strata = sides[0].labels, sides[1].labels
    weights = roc.matching(*strata)
    if (weights[1] > 0).sum() < FEW_UNSEEN:  # no interval is valid
        return None
    return roc.attack(sides[0].score(score), sides[1].score(score), weights, draws, strata)


def difficulty_matched(
    expected: ExpectedProbabilities, unseen: Vector, model: Predictions
) -> Figure | None:
    """Return the AUC against unseen samples of the list's difficulty.

    Forget samples are grouped by their expected probability, unseen samples by their probability
    under the original, which was not trained on them. Classes that lose all their samples are left
    out: no unseen sample has an expected probability of 0.

    Args:
        expected: of the forget samples.
        unseen: true-class probability of the test samples under the original, [N_t].
        model: predictions of the attacked model.
    """
    rows, kept = np.flatnonzero(expected.expected > 0), model.kept_test
    members, others = (
        one.score(HEADLINE) for one in (model.forget.of_rows(rows), model.test.of_rows(kept))
    )
    return auc_by_difficulty(expected.expected[rows], unseen[kept], members, others)


def auc_by_difficulty(
    expected: Vector, unseen: Vector, members: Vector, others: Vector
) -> Figure | None:
    """Return the AUC against unseen samples in the same strata of difficulty.

    Args:
        expected: expected probability of the members, [N_m].
        unseen: probability of the non-members under the original, [N_s].
        members, others: scores of members and non-members, [N_m] and [N_s].

    Returns:
        None with too few samples. The expectation's error on fewer than FEW_FORGET members is not
        measured well enough for a valid interval.
    """
    if len(members) < FEW_FORGET or len(others) < FEW_UNSEEN:
        return None
    edges = np.quantile(unseen, np.linspace(0, 1, STRATA + 1)[1:-1])
    strata = np.searchsorted(edges, expected), np.searchsorted(edges, unseen)
    if not np.isin(*strata).any():
        return None
    return Figure.of(*matched_auc(members, others, strata, estimated=True))


def no_trace(original: Membership) -> bool:
    """Return whether an original shows no sign of training on the list, unlike on retain samples.

    Its AUC on the list includes 0.5 and is below that on retain samples, also when matched by
    difficulty: the class-matched AUC of a hard list is low even if the list was memorised. Short
    lists have wide intervals, so nothing is said of them.
    """
    matched = original.difficulty_matched
    if matched is None or original.retained is None:
        return False
    trained = original.retained.auc.lower
    return original.auc.lower <= 0.5 and max(original.auc.upper, matched.upper) < trained


def attack_figures(found: roc.Attack) -> Attack:
    """Return an attack's figures for the report."""
    one, tenth = (
        Figure.of(value, ends, 100) if found.non_members >= 1 / rate else None
        for value, ends, rate in zip(
            found.tpr, found.tpr_intervals, roc.FALSE_POSITIVES, strict=True
        )
    )
    return Attack(
        auc=Figure.of(found.auc, found.auc_interval), tpr_at_fpr_1=one, tpr_at_fpr_01=tenth
    )


def membership_of(predictions: Predictions, resamples: Resamples) -> Membership | None:
    """Run the class-matched attack by every score, overall, per class and third, and on retain.

    Returns:
        None if no class has both forget and test samples.
    """
    sides, draws = (predictions.forget, predictions.test), (resamples.forget, resamples.test)
    measured = {name: matched_attack(sides, draws, name) for name in ATTACK_SCORES}
    found = {name: one for name, one in measured.items() if one}
    if not found:
        return None
    attacks = {name: attack_figures(one) for name, one in found.items()}
    classes = [
        (name, _within(predictions, resamples, [c]))
        for c, name in enumerate(predictions.classes)
        if predictions.forget_count[c]
    ]
    groups = [
        (name, _within(predictions, resamples, of)) for name, of in predictions.thirds.items()
    ]
    return Membership(
        **attacks[HEADLINE].model_dump(),
        scores=Scores(**attacks),
        retained=_retained(predictions, resamples),
        per_class={name: one for name, one in classes if one},
        groups=InGroups(**dict(groups)),
        curve=_thinned(found[HEADLINE].curve),
    )


def _within(predictions: Predictions, resamples: Resamples, classes: list[int]) -> Figure | None:
    """Return the AUC among the samples of some classes; None with too few samples."""
    mine = [
        np.flatnonzero(np.isin(s.labels, classes)) for s in (predictions.forget, predictions.test)
    ]
    if len(mine[0]) < FEW_FORGET or len(mine[1]) < FEW_UNSEEN:
        return None
    sides = predictions.forget.of_rows(mine[0]), predictions.test.of_rows(mine[1])
    found = matched_attack(sides, (resamples.forget[:, mine[0]], resamples.test[:, mine[1]]))
    return Figure.of(found.auc, found.auc_interval) if found else None


def _retained(predictions: Predictions, resamples: Resamples) -> Attack | None:
    """Run the attack on retain samples."""
    rng = np.random.default_rng([predictions.seed, 10])
    rows = np.sort(rng.permutation(len(predictions.retain))[:RETAINED])
    sides = predictions.retain.of_rows(rows), predictions.test
    found = matched_attack(sides, (resamples.retain[:, rows], resamples.test))
    return attack_figures(found) if found else None


def _thinned(curve: roc.Curve) -> list[tuple[float, float]]:
    """Return points of a ROC curve, denser at low false-positive rates."""
    at = np.unique(np.concatenate([[0.0], np.logspace(-4, 0, 81), np.linspace(0, 1, 41)]))
    return [(float(x), float(y)) for x, y in zip(at, curve.at(at), strict=True)]
