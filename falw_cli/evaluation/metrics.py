"""The metrics of one model in the report. The unit is percent, unless a field says otherwise."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Percent = float | None
"""None if there are no samples to measure on."""


class Figures(BaseModel):
    """A part of the report: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Interval(Figures):
    """The 95 % interval of a figure over redrawn samples, in the figure's unit."""

    lower: float
    upper: float

    @classmethod
    def scaled(cls, ends: tuple[float, float], unit: float) -> Interval:
        """Return an interval from its ends, each multiplied by `unit`."""
        return Interval(lower=unit * ends[0], upper=unit * ends[1])


class Figure(Interval):
    """A figure with its 95 % interval."""

    value: float

    @classmethod
    def of(cls, value: float, ends: tuple[float, float], unit: float = 1) -> Figure:
        """Return a figure from a value and its interval's ends, each multiplied by `unit`."""
        return Figure(value=unit * value, lower=unit * ends[0], upper=unit * ends[1])


class ClassMetrics(Figures):
    """Metrics of one class."""

    forget_count: int
    retain_count: int | None = None
    """Retain samples, evaluated or not; 0: the list removes the whole class. None in reports of
    older versions."""
    forget_accuracy: Percent
    retain_accuracy: Percent
    test_accuracy: Percent
    forget_probability: float | None
    """Mean true-class probability of the class's forget samples, in [0, 1]."""
    unseen_probability: float | None
    """Mean true-class probability of the class's test samples, on which no model was trained."""
    forgotten_share: Figure | None = None
    """See `Metrics.forgotten_share`."""
    intervals: dict[str, Interval] = {}
    """Intervals of the figures above, by name."""


class GroupMetrics(Figures):
    """Metrics of a third of the classes by forget count. A deviation below 0 is over-forgetting."""

    classes: list[str]
    forget_count: int
    forget_accuracy: Percent
    forget_probability: float | None
    """Mean true-class probability of the group's forget samples, in [0, 1]."""
    deviation: Percent
    """Unlearning deviation: forget accuracy minus Retrain's, percentage points."""
    probability_deviation: float | None
    """Mean true-class probability minus Retrain's."""
    unseen_deviation: Percent
    """Forget accuracy minus that of unseen data of the same class mix, percentage points. Classes
    that keep no retain sample are left out, here and below: the model should not predict them."""
    unseen_probability_deviation: float | None
    """Mean true-class probability minus that of unseen data of the same class mix."""
    forgotten_share: Figure | None = None
    """See `Metrics.forgotten_share`."""
    intervals: dict[str, Interval] = {}
    """Intervals of the figures above, by name."""


class Groups(Figures):
    """First, second and last third of the classes by forget count."""

    head: GroupMetrics
    mid: GroupMetrics
    tail: GroupMetrics


class Attack(Figures):
    """A membership attack by one score: members vs. unseen samples of the same class mix."""

    auc: Figure
    """Area under the ROC curve, in [0, 1]; 0.5 is chance."""
    tpr_at_fpr_1: Figure | None
    """True-positive rate, percent, at a false-positive rate of 1 %; None with fewer than 100
    non-members, among which there is no such rate."""
    tpr_at_fpr_01: Figure | None
    """The same at 0.1 %, with 1,000 or more non-members."""


class Scores(Figures):
    """The attack by each score; confidence and loss rank samples alike, except for rounding."""

    confidence: Attack
    entropy: Attack
    modified_entropy: Attack
    loss: Attack
    margin: Attack


class InGroups(Figures):
    """AUC in each third of the classes; None for a third with too few samples."""

    head: Figure | None = None
    mid: Figure | None = None
    tail: Figure | None = None


class Membership(Attack):
    """Membership attacks on forget samples: the one by `loss`, and those by other scores."""

    difficulty_matched: Figure | None = None
    """AUC against unseen samples weighted so that the original predicts them as it is expected to
    predict the list without training on it; for lists of hard or easy samples, in [0, 1]. None
    with fewer than 5 forget or unseen samples."""
    scores: Scores
    retained: Attack | None
    """The same attack on retain samples."""
    per_class: dict[str, Figure]
    """AUC within each class that has enough forget and unseen samples."""
    groups: InGroups
    curve: list[tuple[float, float]]
    """False- and true-positive rates, in [0, 1], along the ROC curve."""


class Apart(Figure):
    """1-Wasserstein distance of true-class probability, forget to unseen of a class, in [0, 1]."""

    chance: float
    """Mean distance expected if the forget samples were unseen ones."""
    p_value: float
    """p-value of a permutation test of forget and unseen samples within each class."""


class GroupApart(Apart):
    """The distance in a third of the classes, and the two distributions it compares."""

    forget_histogram: list[float]
    """Share of the group's forget samples in each of 20 equal bins of true-class probability."""
    unseen_histogram: list[float]
    """Share of unseen samples of the same class mix in each of these bins."""


class GroupsApart(Figures):
    """The distance in each third of the classes; None if none of its classes has enough samples."""

    head: GroupApart | None = None
    mid: GroupApart | None = None
    tail: GroupApart | None = None


class Distance(Apart):
    """The overall distance: the mean over classes, weighted by their forget samples."""

    per_class: dict[str, Apart]
    groups: GroupsApart


class Metrics(Figures):
    """Metrics of a model on forget, retain and test samples, in eval mode, without augmentation."""

    forget_accuracy: Percent
    """FA"""
    retain_accuracy: Percent
    """RA"""
    test_accuracy: Percent
    """TA"""
    mia_efficacy: Percent
    """Share of the forget set that the usual attack, not class-matched, calls non-members."""
    mia_attack_samples: int
    """Size of the balanced, seeded subsample of members and non-members that trains the attack."""
    retained_test_accuracy: Percent = None
    """TA on the classes that keep at least one retain sample."""
    forgotten_share: Figure | None = None
    """How far the forget samples moved from the original's confidence to that expected of a model
    that never saw them, percent: 0 unchanged, 100 as expected, above 100 over-forgotten. None
    without the original, with too few held-out samples, if the list was not memorised, or if the
    interval would be wider than 1000 points."""
    calibration_error: Percent = None
    """Expected calibration error on test samples."""
    avg_gap: float | None = None
    """Mean absolute difference from Retrain over FA, RA, TA and MIA efficacy, or over the metrics
    of --metrics; percentage points."""
    intervals: dict[str, Interval] = {}
    """Intervals of the figures above, by name."""
    mia: Membership | None = None
    distance: Distance | None = None
    per_class: dict[str, ClassMetrics]
    groups: Groups | None
    """None without a forget list."""
    extra_metrics: dict[str, Figure] = {}
    """Metrics of --metrics that are not a field above; omitted if empty."""

    @model_serializer(mode="wrap")
    def _omit_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        if not self.extra_metrics:
            content.pop("extra_metrics", None)
        return content


class Pairs(Figures):
    """True-class probability of each forget sample, in ascending order of the expected one. The
    order says nothing about the list, and long lists are thinned to 2,000 samples."""

    expected: list[float]
    """Expected of a model that never saw the list."""
    before: list[float]
    after: list[float]


class ClassChange(Figures):
    """Accuracy changes of a class by unlearning, percentage points."""

    retain_accuracy: Figure | None
    test_accuracy: Figure | None


class AccuracyChange(Figure):
    """Accuracy after minus before on the same samples, percentage points."""

    p_value: float
    """McNemar's exact test: probability of such a difference if both models were equally good."""


class Changes(Figures):
    """Comparison of the model after unlearning with the model before."""

    retain_accuracy: AccuracyChange | None = None
    retained_test_accuracy: AccuracyChange | None = None
    """On the classes that keep at least one retain sample."""

    retain_agreement: Figure | None
    """Retain samples for which both models predict the same class, percent."""
    test_agreement: Figure | None
    """Test samples for which both models predict the same class, percent."""
    per_class: dict[str, ClassChange]


class Seeds(Figures):
    """Comparison of the model's Avg. Gap with the variation between Retrain seeds."""

    pairs: int
    """Pairs of references."""
    smallest: float
    """Smallest Avg. Gap between two references, percentage points."""
    largest: float
    model: Figure
    """Mean Avg. Gap of the model to each reference alone."""
    verdict: str
    """closer, equivalent, within or outside. "within": a difference from the pairs is neither shown
    nor excluded."""


class AllMetrics(Figures):
    """Metrics before and after, and of the mean Retrain reference."""

    before: Metrics | None
    after: Metrics | None
    reference: Metrics | None
    noise_floor: float | None
    """Mean Avg. Gap between two references, percentage points; None with fewer than two."""
    changes: Changes | None = None
    """None without a model before unlearning."""
    seeds: Seeds | None = None
    """None with fewer than two references."""
