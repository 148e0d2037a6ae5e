"""The record of an erasure request states what the report states."""

from __future__ import annotations

import pytest

from falw_cli.audit.erasure import MEANS, erasure_sections
from falw_cli.audit.gate_result import GateResult
from falw_cli.audit.page import NamedReport, markdown
from falw_cli.audit.report import ListInput, Output, Report
from falw_cli.evaluation.earlier import EarlierRequest, EarlierRequests
from falw_cli.evaluation.metrics import Figure
from tests.audit.reports import report, with_share


def made(value: float = 95, lower: float = 80, upper: float = 105) -> Report:
    """Return a report of a run with a forgotten share."""
    found = with_share(report())
    assert found.metrics.after is not None
    share = Figure(value=value, lower=lower, upper=upper)
    after = found.metrics.after.model_copy(update={"forgotten_share": share})
    metrics = found.metrics.model_copy(update={"after": after})
    inputs = found.inputs.model_copy(
        update={"forget_list": ListInput(sha256="f" * 64, count=found.forget.count)}
    )
    output = Output(path="new_`x`.safetensors", sha256="e" * 64)
    return found.model_copy(
        update={"metrics": metrics, "inputs": inputs, "output": output, "gates": []}
    )


@pytest.mark.parametrize(("figures", "level"), [((20, 5, 40), "bad"), ((50, 20, 80), "unknown")])
def test_a_result_is_not_better_than_the_verdict(
    figures: tuple[float, float, float], level: str
) -> None:
    text = "\n".join(erasure_sections(made(*figures)))
    assert MEANS[level] in text
    assert MEANS["good"] not in text


def test_a_failed_gate_is_the_result() -> None:
    gate = GateResult(expression="test_accuracy>=99", value=1.0, passed=False)
    text = "\n".join(erasure_sections(made().model_copy(update={"gates": [gate]})))
    assert "result:** A condition that was set for this run **failed**. A gate failed; " in text
    assert MEANS["good"] not in text


def test_the_record_names_digests_and_no_class() -> None:
    found = made()
    text = "\n".join(erasure_sections(found))
    assert "f" * 64 in text
    assert "e" * 64 in text
    assert f"run on:** {found.created:%Y-%m-%d}" in text
    record, card = text.split("#### For the model card")
    assert "- [ ] the model before" in record
    assert "f" * 64 not in card  # a public card must not help to guess the list
    assert "Test accuracy:" in card
    assert markdown([NamedReport("x", found)]).count("#### Record of an erasure request") == 1


def test_earlier_requests_are_named_by_digest() -> None:
    one = EarlierRequest(source="ledger", sha256="a" * 64, count=3, in_data=0)
    earlier = EarlierRequests(left_out=0, requests=[one])
    text = "\n".join(erasure_sections(made().model_copy(update={"earlier": earlier})))
    assert "earlier requests:** lists `aaaaaaaaaaaaaaaa`; 1 no samples at hand" in text
    assert "as request 2 on this model" in text


@pytest.mark.parametrize("digest", [None, "0" * 64])
def test_a_changed_report_has_a_record_without_a_verdict(digest: str | None) -> None:
    one = EarlierRequest(source="ledger", sha256="a" * 64, count=3, in_data=0)
    earlier = EarlierRequests(left_out=0, requests=[one])
    changed = made().model_copy(update={"earlier": earlier, "digest": digest})
    changed._problem = "was changed"
    text = "\n".join(erasure_sections(changed))
    assert "no verdict, since the report was changed" in text
    assert ("without a digest" in text) == (digest is None)


def test_the_request_is_the_list_and_the_checklist_the_whole_chain() -> None:
    found = made()
    forget = found.forget.model_copy(update={"copies": 2, "unreadable": 3})
    before = found.inputs.model.model_copy(update={"made_from": ["1" * 64, "2" * 64]})
    inputs = found.inputs.model_copy(update={"model": before})
    one = EarlierRequest(source="list", sha256="a" * 64, count=3, in_data=0)
    earlier = EarlierRequests(left_out=0, requests=[one, one, one], number=1)
    more = {"forget": forget, "inputs": inputs, "earlier": earlier}
    text = "\n".join(erasure_sections(found.model_copy(update=more)))
    assert "request:** 159 samples, list" in text
    assert "unlearned too: 2; not readable, so not unlearned: 3" in text
    assert text.count("- [ ] a model that it was made from, SHA-256") == 2
    assert "as request 2 on this model" in text


def test_a_report_without_an_output_has_no_record() -> None:
    assert erasure_sections(made().model_copy(update={"output": None})) == []
