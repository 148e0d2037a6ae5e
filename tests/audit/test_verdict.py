"""The verdict of a report, in words."""

from __future__ import annotations

from typing import Any

import pytest

from falw_cli.audit.report import FileInput, Report
from falw_cli.audit.verdict import NO_SHARE, verdict
from falw_cli.evaluation.earlier import EarlierRequest, EarlierRequests, Remeasured
from falw_cli.evaluation.metrics import AccuracyChange, Figure
from falw_cli.evaluation.per_sample import PerSample
from tests.audit.reports import evidence, per_sample, report


def without_gates(after: float, references: int = 2) -> Report:
    return report(after, references).model_copy(update={"gates": []})


def with_share(value: float, lower: float, upper: float, **changes: Any) -> Report:
    """A report with a forgotten share; `changes` are of `metrics.changes`."""
    made = without_gates(1.5, 0)
    assert made.metrics.after is not None
    assert made.metrics.changes is not None
    share = {"forgotten_share": Figure(value=value, lower=lower, upper=upper)}
    metrics = made.metrics.model_copy(
        update={
            "after": made.metrics.after.model_copy(update=share),
            "changes": made.metrics.changes.model_copy(update=changes),
        }
    )
    return made.model_copy(update={"metrics": metrics})


def evaluated(
    after: float, names_list: bool | None, references: int = 0, *, doubtful: bool = False
) -> Report:
    """A report of `falw evaluate` without the original."""
    made = without_gates(after, references)
    model = FileInput(path="m.safetensors", sha256="0" * 64, names_list=names_list)
    metrics = made.metrics.model_copy(update={"before": None, "changes": None})
    inputs = made.inputs.model_copy(
        update={"model": model, "references": [FileInput(path="r", sha256="1", doubtful=doubtful)]}
    )
    return made.model_copy(update={"metrics": metrics, "inputs": inputs})


@pytest.mark.parametrize(
    ("after", "references", "level"),
    [(1.5, 2, "good"), (4.5, 2, "bad"), (-1.0, 2, "mixed"), (1.5, 0, "good"), (4.5, 0, "bad")],
)
def test_levels_without_a_share(after: float, references: int, level: str) -> None:
    assert verdict(without_gates(after, references)).level == level


def test_without_the_original_a_hard_list_is_not_called_over_forgotten() -> None:
    found = without_gates(-1.0, 0)
    metrics = found.metrics.model_copy(update={"before": None})
    model = found.inputs.model.model_copy(update={"unlearned": True})
    inputs = found.inputs.model_copy(update={"model": model})
    said = verdict(found.model_copy(update={"metrics": metrics, "inputs": inputs}))
    assert said.level == "unknown"
    assert "--original" in said.headline


def test_it_names_its_evidence() -> None:
    said = verdict(without_gates(1.5))
    assert "cannot tell whether it is as close to the Retrain models" in said.points[0]
    assert "cannot be distinguished from unseen samples" in said.points[1]
    over = verdict(without_gates(-1.0, 0))
    assert over.headline.startswith("Over-forgotten")
    assert "less familiar than unseen samples" in over.points[0]


@pytest.mark.parametrize(
    ("share", "level", "start"),
    [
        ((93, 80, 104), "good", "Forgotten: 93 % (80 to 104 %)"),
        ((20, 5, 45), "bad", "Not forgotten: 20 %"),
        ((66, 20, 180), "unknown", "Cannot tell"),
        ((150, 130, 180), "mixed", "Over-forgotten"),
        (
            (110, 60, 400),
            "unknown",
            "Cannot tell whether the list is over-forgotten; at least 60 %",
        ),
        ((110, 51, 149), "good", "Forgotten: 110 %"),
        (
            (125, 113, 150.37),
            "unknown",
            "Cannot tell whether the list is over-forgotten; at least "
            "113 % is forgotten: 125 % (113 to 150.4 %)",
        ),
        ((30, 20, 49.8), "bad", "Not forgotten: 30 % (20 to 49.8 %)"),
    ],
)
def test_the_interval_of_the_share_decides(
    share: tuple[float, float, float], level: str, start: str
) -> None:
    said = verdict(with_share(*share))
    assert said.level == level
    assert said.headline.startswith(start)


def test_a_share_says_what_its_interval_covers() -> None:
    assert "not the chance of training" in verdict(with_share(93, 80, 104)).points[0]


@pytest.mark.parametrize(("lower", "said"), [(80, True), (5, False)])
def test_a_whole_class_may_only_be_masked(lower: float, *, said: bool) -> None:
    found = with_share(2 * lower, lower, 45 if lower < 45 else 2 * lower).model_copy(
        update={"comeback": None}
    )
    assert found.metrics.after is not None
    assert "masked" not in verdict(found).points[0]
    name, one = next(iter(found.metrics.after.per_class.items()))
    whole = {name: one.model_copy(update={"retain_count": 0})}
    after = found.metrics.after.model_copy(update={"per_class": whole})
    metrics = found.metrics.model_copy(update={"after": after})
    points = verdict(found.model_copy(update={"metrics": metrics})).points
    assert ("--relearn" in points[0]) is said


def test_an_unclear_share_names_the_differences_that_the_list_can_show() -> None:
    unclear = verdict(with_share(66, 20, 180)).points[0]
    assert "With a list of this size (158), a difference of less than 114 points" in unclear
    assert "too little memorised" in verdict(with_share(110, 60, 400)).points[0]


@pytest.mark.parametrize(("p_value", "named"), [(0.001, True), (0.2, False)])
def test_a_significant_loss_of_accuracy_is_in_the_headline(p_value: float, named: bool) -> None:
    change = AccuracyChange(value=-1.6, lower=-2.3, upper=-0.9, p_value=p_value)
    said = verdict(with_share(93, 80, 104, retained_test_accuracy=change))
    assert ("fell by 1.6 points" in said.headline) == named
    assert said.level == ("mixed" if named else "good")


@pytest.mark.parametrize(
    ("value", "p_value", "text"),
    [
        (-0.8, 0.3, "fell by 0.8 points; could be chance, p = 0.3"),
        (-0.8, 0.01, "fell by 0.8 points (-0.2 to 1.8; McNemar's test: p = 0.01)"),
        (-0.01, 0.9, ""),
        (0.8, 0.3, ""),
    ],
)
def test_other_losses_are_below_the_headline(value: float, p_value: float, text: str) -> None:
    change = AccuracyChange(value=value, lower=value - 1, upper=value + 1, p_value=p_value)
    said = verdict(with_share(93, 80, 104, retained_test_accuracy=change))
    assert said.level == "good"
    assert "fell" not in said.headline
    fell = [point for point in said.points if "test accuracy fell" in point]
    assert text in fell[0] if text else not fell


@pytest.mark.parametrize("doubtful", [False, True])
@pytest.mark.parametrize("names_list", [False, None, True])
def test_a_model_that_may_never_have_unlearned_the_list_is_not_called_forgotten(
    names_list: bool | None, *, doubtful: bool
) -> None:
    said = verdict(evaluated(1.5, names_list))
    assert said.level == "unknown"
    assert "--original" in said.headline
    assert verdict(evaluated(4.5, names_list)).level == "bad"
    made = evaluated(1.5, names_list, references=2, doubtful=doubtful)
    assert made.metrics.seeds is not None
    for shown in ("closer", "equivalent", "within"):
        seeds = made.metrics.seeds.model_copy(update={"verdict": shown})
        metrics = made.metrics.model_copy(update={"seeds": seeds})
        retrained = verdict(made.model_copy(update={"metrics": metrics}))
        good = names_list and not doubtful and shown != "within"
        assert retrained.level == ("good" if good else "unknown")


@pytest.mark.parametrize(
    ("before", "after", "level", "said"),
    [
        (1.5, 6.0, "bad", "Not forgotten: the list can be detected, more clearly than in"),
        (6.0, 6.0, "unknown", "but the list can be detected: it is easy, or the original is"),
        (1.5, 1.5, "unknown", "Cannot tell whether the list is forgotten: the original had"),
        (6.0, 1.5, "unknown", "Cannot tell whether the list is forgotten: the original had"),
    ],
)
@pytest.mark.parametrize("reason", ["not memorised the list", "memorised too little of the list"])
def test_an_original_that_had_not_memorised_the_list_does_not_hide_a_detection(
    before: float, after: float, level: str, said: str, reason: str
) -> None:
    made, original = without_gates(after, 0), without_gates(before, 0)
    metrics = made.metrics.model_copy(update={"before": original.metrics.after})
    warnings = [f"{NO_SHARE}the original had {reason}"]
    found = verdict(made.model_copy(update={"metrics": metrics, "warnings": warnings}))
    assert found.level == level
    assert said in found.headline


def test_a_failed_gate_decides() -> None:
    said = verdict(report())
    assert (said.level, said.headline) == ("bad", "A gate failed")
    assert said.points[-1].startswith("1 of 2 gates passed; failed: per_class.")


def test_a_test_that_the_original_passes_has_no_power() -> None:
    made = without_gates(1.5, 0)
    metrics = made.metrics.model_copy(update={"before": made.metrics.after})
    said = verdict(made.model_copy(update={"metrics": metrics}))
    assert said.level == "unknown"
    assert "no power" in said.points[0]


def test_skipped_samples_of_the_list_are_not_forgotten() -> None:
    made = with_share(95, 90, 100)
    forget = made.forget.model_copy(update={"unreadable": 2})
    said = verdict(made.model_copy(update={"forget": forget}))
    assert said.level == "bad"
    assert said.headline == "Not forgotten: 2 listed samples that cannot be read"
    assert said.points[0].startswith("the samples that can be read: Forgotten")


@pytest.mark.parametrize(
    ("margin", "forgotten", "said"),
    [(0.7, False, "not shown to be forgotten when unlearned"),
     (0.7, None, "not learned again, but no run of this model on this list is known"),
     (0.1, None, "cannot tell whether still forgotten")],
)  # fmt: skip
def test_a_list_that_was_not_forgotten_is_not_still_forgotten(
    margin: float, forgotten: bool | None, said: str
) -> None:
    figure = Figure(value=0.5, lower=0.4, upper=0.6)
    found = Remeasured(
        samples=9, before=figure, after=figure, rise=figure, margin=margin,
        still_forgotten="cannot tell",
    )  # fmt: skip
    one = EarlierRequest(
        source="list", sha256="a" * 64, count=9, in_data=9, forgotten=forgotten, remeasured=found
    )
    earlier = EarlierRequests(left_out=9, requests=[one])
    made = without_gates(1.5).model_copy(update={"earlier": earlier})
    assert f"earlier requests: 1 {said}" in verdict(made).points


@pytest.mark.parametrize(
    ("config", "in_data", "said"),
    [({}, 0, "1 not named, so that samples may count as retain samples, 1 no samples at hand"),
     ({}, 9, "1 on this list too, or not readable, "
      "1 not recognised in the files of --forgotten, and may count as retain samples"),
     ({"forgotten": ["none"]}, 0, "1 said to be no longer in the data, 1 no samples at hand"),
     ({"no_retain": True}, 0, "1 not named, but no retain samples were used, 1 no samples at "
      "hand")],
)  # fmt: skip
def test_a_list_that_is_not_measured_has_the_reason(
    config: dict[str, Any], in_data: int, said: str
) -> None:
    requests = [
        EarlierRequest(source="list", sha256="a" * 64, count=9, in_data=in_data),
        EarlierRequest(source="checkpoint", sha256="b" * 64, count=None, in_data=None),
    ]
    earlier = EarlierRequests(left_out=9, requests=requests)
    made = without_gates(1.5).model_copy(update={"earlier": earlier, "config": config})
    assert f"earlier requests: {said}" in verdict(made).points


def test_an_answer_on_a_part_of_a_list_says_so() -> None:
    figure = Figure(value=0.5, lower=0.4, upper=0.6)
    found = Remeasured(
        samples=6, before=figure, after=figure, rise=figure, margin=0.7, still_forgotten="yes"
    )
    one = EarlierRequest(source="list", sha256="a" * 64, count=30, in_data=6, remeasured=found)
    earlier = EarlierRequests(left_out=6, requests=[one])
    said = verdict(without_gates(1.5).model_copy(update={"earlier": earlier}))
    assert "earlier requests: 1 still forgotten (measured on 6 of 30 samples)" in said.points


def test_earlier_requests_are_counted_by_answer() -> None:
    def request(answer: str | None) -> EarlierRequest:
        figure = Figure(value=0.5, lower=0.4, upper=0.6)
        found = answer and Remeasured.model_validate(
            {"samples": 9, "before": figure, "after": figure, "rise": figure, "margin": 0.1,
             "still_forgotten": answer}
        )  # fmt: skip
        return EarlierRequest(
            source="list",
            sha256="a" * 64,
            count=9,
            in_data=9 if found else 0,
            remeasured=found or None,
        )

    answers = ["yes", "no", "yes", "cannot tell", None]
    earlier = EarlierRequests(left_out=9, requests=[request(answer) for answer in answers])
    said = verdict(without_gates(1.5).model_copy(update={"earlier": earlier}))
    assert (
        "earlier requests: 2 still forgotten, 1 no samples at hand, 1 learned again, "
        "1 cannot tell whether still forgotten"
    ) in said.points


def contradicted(members: int, count: int) -> PerSample:
    """Evidence that `members` of `count` samples are distinguished after unlearning."""
    found = evidence(count)
    for one in found.samples[:members]:
        assert one.before is not None
        one.after = one.before
    return found


@pytest.mark.parametrize(
    ("share", "found", "level", "said"),
    [
        ((95, 80, 104), contradicted(2, 3), "unknown", "distinguish 2 of 3 samples"),
        ((95, 80, 104), contradicted(1, 3), "good", "Forgotten: 95 %"),
        ((20, 5, 45), contradicted(3, 3), "bad", "Not forgotten"),
        ((95, 80, 104), per_sample(), "good", "Forgotten: 95 %"),
    ],
)
def test_shadow_models_that_find_most_of_the_list_contradict_the_share(
    share: tuple[float, float, float], found: PerSample, level: str, said: str
) -> None:
    made = verdict(with_share(*share).model_copy(update={"per_sample": found}))
    assert made.level == level
    assert said in made.headline


def test_a_side_effect_is_in_the_headline() -> None:
    made = with_share(93, 80, 104)
    seeds = report(-1.0).metrics.seeds
    assert seeds is not None
    assert seeds.verdict == "outside"
    after = made.metrics.after
    assert after is not None
    metrics = made.metrics.model_copy(
        update={"seeds": seeds, "after": after.model_copy(update={"avg_gap": 9.0})}
    )
    said = verdict(made.model_copy(update={"metrics": metrics}))
    assert said.level == "mixed"
    assert "but further from the Retrain models" in said.headline


@pytest.mark.parametrize(("value", "shown"), [(-1.04, "1.04"), (-0.96, "0.96"), (-1.6, "1.6")])
def test_a_loss_is_not_rounded_to_the_rule(value: float, shown: str) -> None:
    change = AccuracyChange(value=value, lower=value - 1, upper=0.0, p_value=0.01)
    said = verdict(with_share(93, 80, 104, retained_test_accuracy=change))
    text = f"fell by {shown} points"
    assert (text in said.headline) == (value < -1)
    assert any(f"{text} (0.0 to " in point for point in said.points)
