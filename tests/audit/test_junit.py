"""JUnit XML of reports."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from falw_cli.audit.junit import junit
from falw_cli.audit.page import NamedReport
from falw_cli.audit.report import Report
from falw_cli.evaluation.metrics import Figure
from tests.audit.reports import HOSTILE, report


def suite(made: Report) -> ET.Element:
    found = ET.fromstring(junit([NamedReport("audit", made)])).find("testsuite")
    assert found is not None
    return found


def shared(lower: float, upper: float, **more: object) -> Report:
    """A report with a forgotten share, and without gates or attacks."""
    made = report(1.5)
    assert made.metrics.after is not None
    share = {"forgotten_share": Figure(value=lower, lower=lower, upper=upper)}
    after = made.metrics.after.model_copy(update=share)
    metrics = made.metrics.model_copy(update={"after": after})
    quiet = {"metrics": metrics, "gates": [], "per_sample": None, "pairs": None}
    return made.model_copy(update=quiet | more)


def test_junit_has_one_case_per_gate() -> None:
    found = suite(report())
    assert found.get("tests") == "3"
    failed = [one.get("message") for one in found.findall("testcase/failure[@type='gate']")]
    assert failed == [f"per_class.{HOSTILE}.test_accuracy>9: no value"]
    assert found.get("failures") == str(len(found.findall("testcase/failure")))


@pytest.mark.parametrize(
    ("made", "result", "message"),
    [
        (shared(90, 110), None, ""),
        (shared(10, 40), "failure", "Not forgotten: 10 %"),
        (shared(10, 40, config={"forgotten_gate": False}), "skipped", "Not forgotten"),
        (shared(20, 90), "skipped", "Cannot tell whether the list is forgotten"),
    ],
)
def test_the_verdict_is_a_case(made: Report, result: str | None, message: str) -> None:
    found = suite(made)
    assert found.get("tests") == "1"
    (case,) = found.findall("testcase")
    assert case.get("name") == "verdict"
    assert [one.tag for one in case] == ([result] if result else [])
    assert message in "".join(one.get("message", "") for one in case)
    counts = {name: found.get(name) for name in ("failures", "skipped")}
    assert counts == {
        "failures": str(int(result == "failure")), "skipped": str(int(result == "skipped")),
    }  # fmt: skip


def test_a_changed_report_fails_in_junit() -> None:
    changed = report().model_copy(update={"gates": []})
    changed._problem = "was changed"
    found = suite(changed)
    assert (found.get("tests"), found.get("failures")) == ("1", "1")
