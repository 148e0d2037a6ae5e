"""Reports as JUnit XML, for the test results of a CI job."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from falw_cli.audit.page import NamedReport
from falw_cli.audit.verdict import verdict
from falw_cli.runtime.printable import printable


def junit(named: Sequence[NamedReport]) -> str:
    """Return JUnit XML: one case for the verdict, and one per gate.

    The verdict's case fails for "Not forgotten", and is skipped for "Cannot tell". A changed
    report has no verdict, and a failed case instead.
    """
    suites = ET.Element("testsuites", name="falw")
    for one in named:
        suite = ET.SubElement(
            suites, "testsuite", name=printable(one.name),
            timestamp=one.report.created.isoformat(timespec="seconds"),
        )  # fmt: skip
        if one.report._problem:
            case = ET.SubElement(suite, "testcase", classname="falw", name="report unchanged")
            _add(case, "failure", f"the report {one.report._problem}", "digest")
        else:
            _add_verdict(suite, one)
        for gate in one.report.gates:
            case = ET.SubElement(
                suite, "testcase", classname="falw.gates", name=printable(gate.expression)
            )
            if not gate.passed:
                _add(case, "failure", f"{gate.expression}: {gate.shown}", "gate")
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("errors", "0")
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_verdict(suite: ET.Element, one: NamedReport) -> None:
    """Add the verdict's case; the gates have their own, so they do not count for it."""
    said = verdict(one.report.model_copy(update={"gates": []}))
    case = ET.SubElement(suite, "testcase", classname="falw", name="verdict")
    # A run without the built-in gate does not fail by it.
    ungated = one.report.run and one.report.config.get("forgotten_gate") is False
    if said.level == "bad" and not ungated:
        _add(case, "failure", said.headline, "verdict")
    elif said.level in ("bad", "unknown"):
        _add(case, "skipped", said.headline)


def _add(case: ET.Element, tag: str, text: str, kind: str = "") -> None:
    """Add the result of a case, with its text."""
    result = ET.SubElement(case, tag, message=printable(text))
    result.text = printable(text)
    if kind:
        result.set("type", kind)
