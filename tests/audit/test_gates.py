"""Gates: names are checked before the run, and a missing value fails its gate."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from falw_cli.audit import gates
from falw_cli.audit.gate_result import GateResult
from falw_cli.audit.gates import evaluate, parse
from falw_cli.audit.report import Report
from falw_cli.errors import RequestError

CLASSES = ("cat", "St. Bernard")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(gates, "extra_metrics", lambda: ["certain"])
    figures = {
        "forget_count": 3, "forget_accuracy": 50.0, "retain_accuracy": None, "test_accuracy": 70.0,
        "forget_probability": 0.4, "unseen_probability": 0.5,
    }  # fmt: skip
    after = {
        "forget_accuracy": 50.0, "retain_accuracy": 99.0, "test_accuracy": 70.0,
        "mia_efficacy": 40.0, "mia_attack_samples": 10, "avg_gap": None,
        "per_class": {"cat": figures, "St. Bernard": figures}, "groups": None,
        "intervals": {"forget_accuracy": {"lower": 40.0, "upper": 60.0}},
        "extra_metrics": {"certain": {"value": 91.0, "lower": 90.0, "upper": 92.0}},
    }  # fmt: skip
    data = {"spec": "digits", "sha256": "0", "count": 10, "used": 10}
    return Report.model_validate(
        {
            "created": datetime(2026, 1, 1, tzinfo=timezone.utc), "command": [], "config": {},
            "environment": {
                "python": "3", "torch": "2", "device": "cpu", "precision": "fp32", "threads": 1,
            },
            "inputs": {
                "model": {"path": "m", "sha256": "0"}, "forget_list": None, "data": data,
                "heldout": None, "test": None, "references": [],
            },
            "output": None, "forget": {"count": 3, "per_class": {"cat": 3}, "unknown": 0},
            "run": None,
            "metrics": {"before": None, "after": after, "reference": None, "noise_floor": None},
            "target": {}, "weights": [], "gates": [], "warnings": [],
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value", "passed"),
    [
        ("forget_accuracy<=50", 50, True),
        ("forget_accuracy < 50", 50, False),
        ("forget_accuracy>49.9", 50, True),
        ("test_accuracy>=70.5", 70, False),
        ("metrics.after.mia_efficacy == 4e1", 40, True),
        ("per_class.cat.test_accuracy>60", 70, True),
        ("metrics.after.per_class.St. Bernard.test_accuracy>60", 70, True),
        ("forget.count>=3", 3, True),
        ("forget.per_class.cat>=3", 3, True),
        ("avg_gap<=100", None, False),
        ("groups.tail.deviation<=100", None, False),
        ("metrics.noise_floor>=0", None, False),
        ("per_class.cat.retain_accuracy>=0", None, False),
        ("run.seconds<9", None, False),
        ("tail.deviation<=5", None, False),
        ("mia.auc.upper<=0.55", None, False),
        ("forget_accuracy.upper<=61", 60, True),
        ("per_class.cat.test_accuracy.lower>60", None, False),
        ("metrics.after.avg_gap.upper<9", None, False),
        ("certain>=90", 91, True),
        ("certain.lower>90.5", 90, False),
        ("metrics.after.extra_metrics.certain.upper<93", 92, True),
    ],
)
def test_verdicts(report: Report, expression: str, value: float | None, passed: bool) -> None:
    result = evaluate(parse(expression, CLASSES), report)
    assert (result.value, result.passed) == (value, passed)


@pytest.mark.parametrize(
    "expression",
    ["", "avg_gap", "avg_gap<=", "avg_gap<=x", "avg_gap<=nan", "<=3", "avg_gap=>3", "gap<=1",
     "metrics.after<=1", "per_class.dog.test_accuracy>1", "tool.name==1", "avg_gap.x<1",
     "certain>1", "extra_metrics.cat<1", "mia_auc<1"],
)  # fmt: skip
def test_wrong_gates_are_refused_before_the_run(expression: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(expression, CLASSES)
    assert caught.value.hint


def test_nearest_name_is_the_hint() -> None:
    with pytest.raises(RequestError) as caught:
        parse("forget_acuracy<=1", CLASSES)
    assert "forget_accuracy" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("test_accuracy=>80", "test_accuracy>=80"),
        ("test_accuracy =< 80", "test_accuracy <= 80"),
        ("test_accuracy≥80", "test_accuracy>=80"),
        ("test_accuracy=80", "test_accuracy==80"),
        ("test_accuracy>=80%", "test_accuracy>=80"),
        ("test_accuracy>=80 %", "test_accuracy>=80"),
        ("test_accuracy > = 80", "test_accuracy >= 80"),
    ],
)
def test_a_gate_in_another_spelling_is_named(written: str, meant: str) -> None:
    with pytest.raises(RequestError, match="invalid gate") as refused:
        gates.parse(written, ())
    assert refused.value.hint.startswith(f"did you mean '{meant}'? write NAME OP NUMBER")


def test_a_failed_value_is_not_shown_as_a_passing_one() -> None:
    shown = GateResult(expression="test_accuracy>=80", value=79.9996, passed=False).shown
    assert shown == "79.9996"
    assert GateResult(expression="no gate", value=79.9996, passed=False).shown == "80"


def test_two_conditions_in_one_gate_are_refused() -> None:
    with pytest.raises(RequestError, match="invalid gate") as refused:
        gates.parse("avg_gap<=1 and test_accuracy>=90", ())
    assert "its own --gate" in refused.value.hint
