"""The metrics of one model, as they stand in the report. Percent, unless a field says otherwise."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Percent = float | None
"""None where there is nothing to measure it on."""


class Figures(BaseModel):
    """A part of the report: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


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


class Groups(Figures):
    """First, second and last third of the classes by forget count."""

    head: GroupMetrics
    mid: GroupMetrics
    tail: GroupMetrics


class Metrics(Figures):
    """Of a model on forget, retain and test samples, in eval mode and without augmentation."""

    forget_accuracy: Percent
    """FA"""
    retain_accuracy: Percent
    """RA"""
    test_accuracy: Percent
    """TA"""
    mia_efficacy: Percent
    """Share of the forget set that the attack calls non-member."""
    mia_attack_samples: int
    """Size of the balanced, seeded subsample of members and non-members that trains the attack."""
    avg_gap: float | None = None
    """Mean absolute difference from Retrain over the four above, percentage points."""
    per_class: dict[str, ClassMetrics]
    groups: Groups | None
    """None without a forget list."""
