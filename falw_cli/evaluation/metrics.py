"""The metrics of one model, as they stand in the report. Percent, unless a field says otherwise."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Percent = float | None
"""None where there is nothing to measure it on."""


class Figures(BaseModel):
    """A part of the report: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Interval(Figures):
    """Where a figure lies in 95 of 100 cases, samples being drawn again; in the figure's unit."""

    lower: float
    upper: float


class Figure(Interval):
    """A figure with its 95 % interval."""

    value: float

    @classmethod
    def of(cls, value: float, ends: tuple[float, float], unit: float = 1) -> Figure:
        """A value and its interval's ends, brought into a unit."""
        return Figure(value=unit * value, lower=unit * ends[0], upper=unit * ends[1])


class ClassMetrics(Figures):
    """Of one class."""

    forget_count: int
    forget_accuracy: Percent
    retain_accuracy: Percent
    test_accuracy: Percent
    forget_probability: float | None
    """Mean true-class probability of the class's forget samples, in [0, 1]."""
    unseen_probability: float | None
    """The same of its test samples, which no model saw."""
    intervals: dict[str, Interval] = {}
    """Of the figures above, by name."""


class GroupMetrics(Figures):
    """Of a third of the classes by forget count. A deviation below 0 is over-forgetting."""

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
    """Forget accuracy minus that of unseen data of the same class mix, percentage points."""
    unseen_probability_deviation: float | None
    """The same of the mean true-class probability."""
    intervals: dict[str, Interval] = {}
    """Of the figures above, by name."""


class Groups(Figures):
    """First, second and last third of the classes by forget count."""

    head: GroupMetrics
    mid: GroupMetrics
    tail: GroupMetrics


class Attack(Figures):
    """A membership attack by one score: members against unseen samples of the same class mix."""

    auc: Figure
    """Area under the ROC, in [0, 1]; 0.5 tells members from strangers no better than a coin."""
    tpr_at_fpr_1: Figure
    """Members found, percent, where 1 % of the unseen are taken for members."""
    tpr_at_fpr_01: Figure
    """The same at 0.1 %."""


class Scores(Figures):
    """The attack by each score; confidence and loss order samples alike, but for rounding."""

    confidence: Attack
    entropy: Attack
    modified_entropy: Attack
    loss: Attack
    margin: Attack


class InGroups(Figures):
    """AUC in a third of the classes; None where it has too few samples."""

    head: Figure | None = None
    mid: Figure | None = None
    tail: Figure | None = None


class Membership(Attack):
    """Are forget samples told from unseen ones? The attack by `loss`, and those by other scores."""

    scores: Scores
    retained: Attack | None
    """The same attack on retain samples: the exposure of those who stay."""
    per_class: dict[str, Figure]
    """AUC within each class that has forget samples and unseen ones."""
    groups: InGroups
    curve: list[tuple[float, float]]
    """False- and true-positive rate, in [0, 1], along the ROC."""


class Apart(Figure):
    """1-Wasserstein distance of true-class probability, forget to unseen of a class, in [0, 1]."""

    chance: float
    """What it would be in the mean, were the forget samples unseen ones."""
    p_value: float
    """By permutation of forget and unseen within each class."""


class GroupApart(Apart):
    """The distance in a third of the classes, and the distributions that it is between."""

    forget_histogram: list[float]
    """Share of the group's forget samples in each of 20 equal bins of true-class probability."""
    unseen_histogram: list[float]
    """The same of unseen samples of the same class mix."""


class GroupsApart(Figures):
    """None where no class of the third has enough samples."""

    head: GroupApart | None = None
    mid: GroupApart | None = None
    tail: GroupApart | None = None


class Distance(Apart):
    """As a whole: the mean over classes, weighted by their forget samples."""

    per_class: dict[str, Apart]
    groups: GroupsApart


class Metrics(Figures):
    """Of a model on forget, retain and test samples, in eval mode and without augmentation."""

    forget_accuracy: Percent
    """FA"""
    retain_accuracy: Percent
    """RA"""
    test_accuracy: Percent
    """TA"""
    mia_efficacy: Percent
    """Share of the forget set that the field's attack calls non-member; its classes not matched."""
    mia_attack_samples: int
    """Size of the balanced, seeded subsample of members and non-members that trains the attack."""
    retained_test_accuracy: Percent = None
    """TA on the classes that keep at least one sample."""
    forgotten_share: Figure | None = None
    """How far the forget samples moved from what the original knew to what is expected of a model
    that never saw them, percent: 0 untouched, 100 as expected, above 100 over-forgotten. None
    without the original, without held-out samples, or where the list was not memorised."""
    calibration_error: Percent = None
    """Expected calibration error on test samples."""
    avg_gap: float | None = None
    """Mean absolute difference from Retrain over FA, RA, TA and MIA efficacy, or over what
    --metrics names; percentage points."""
    intervals: dict[str, Interval] = {}
    """Of the figures above, by name."""
    mia: Membership | None = None
    distance: Distance | None = None
    per_class: dict[str, ClassMetrics]
    groups: Groups | None
    """None without a forget list."""
    extra_metrics: dict[str, Figure] = {}
    """Of what --metrics names, the metrics that have no field of their own; omitted if empty."""

    @model_serializer(mode="wrap")
    def _omit_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        if not self.extra_metrics:
            content.pop("extra_metrics", None)
        return content


class SampleAttack(Attack):
    """An attack made for each sample, by shadow models; judged on these, each by the others."""

    told: Figure
    """Forget samples that it calls unlearned rather than never seen in the model that is audited,
    percent, at 1 % false positives: 1 is chance."""


class PerSample(Figures):
    """What shadow models tell, each of which unlearned half of the list and never saw the rest."""

    models: int
    forget: int
    ulira: SampleAttack
    """Hayes et al., arXiv 2403.01218"""
    rmia: SampleAttack
    """Zarifzadeh et al., ICML 2024"""
    klom: Figure
    """KL divergence of margins, unlearned to never seen, mean over the list, nats; arXiv
    2410.23232."""
    klom_chance: float
    """What it would be in the mean, were there no difference: models are few."""


class Rounded(Figures):
    """What rounding the weights changes, percentage points of accuracy. Up is coming back."""

    forget_change: Figure | None
    test_change: Figure | None


class Relearned(Figures):
    """What learning a few forget samples again does for the others."""

    samples: int
    """Forget samples that were learned again."""
    goal: float
    """Accuracy of the other forget samples that counts as returned, percent: the original's less a
    point, or, where the original is not at hand, that of retain samples."""
    returned_after: int | None
    """Steps; None where the accuracy did not return in 50."""
    reference_returned_after: list[int | None]
    """The same of each Retrain model, which learns them for the first time."""
    excess: float
    """Most that the other forget samples gain more than unseen ones do, percentage points."""
    reference_excess: list[float]
    """The same of each Retrain model."""
    curve: list[tuple[int, float, float]]
    """Steps, accuracy of the other forget samples, of unseen ones of their class mix; percent."""
    reference_curve: list[tuple[int, float, float]]
    """The same of the first reference."""


class Comeback(Figures):
    """Does the forgotten come back?"""

    fp16: Rounded
    int8: Rounded
    relearned: Relearned | None


class ClassChange(Figures):
    """What unlearning did to a class, percentage points."""

    retain_accuracy: Figure | None
    test_accuracy: Figure | None


class Changes(Figures):
    """The model after against the one before."""

    retain_agreement: Figure | None
    """Retain samples that both put into the same class, percent."""
    test_agreement: Figure | None
    """The same of test samples."""
    per_class: dict[str, ClassChange]


class Seeds(Figures):
    """The gap against what Retrain's seeds alone explain."""

    pairs: int
    """Pairs of references."""
    smallest: float
    """Smallest Avg. Gap between two references, percentage points."""
    largest: float
    model: Figure
    """Mean Avg. Gap of the model to each reference alone."""
    verdict: str
    """closer, within or outside."""
