"""Sections of the Markdown report: a record of an erasure request, and text for a model card.

The record is for the file of a privacy officer (GDPR Art. 17). Both state figures of the report
alone.
"""

from __future__ import annotations

from falw_cli.audit.report import ListInput, Report
from falw_cli.audit.verdict import GATE_FAILED, earlier_requests, verdict
from falw_cli.evaluation.metrics import Metrics
from falw_cli.runtime.printable import counted, markdown_text

MEANS = {
    "good": "The audit found the samples forgotten, as far as its tests can show.",
    "mixed": "The audit found the samples forgotten, with a side effect that the result names.",
    "bad": "The audit found the samples **not** forgotten.",
    "unknown": "The audit **cannot tell** whether the samples are forgotten.",
}
"""What each level of the verdict means for a request."""
NOT_PROVEN = (
    "That no influence of the samples remains: unlearning of this kind is approximate.",
    "That no attack finds the samples: only the tests of this report were made.",
    "That changed copies of the samples are gone: falw finds only copies with the same pixels, in "
    "the data that it read.",
    "That copies of models trained on the samples are gone: falw does not look for them.",
    "That the list holds every sample of the person: falw received IDs, not names.",
)
NO_RETAIN = (
    "That the model predicts the training samples that stay as before: none were at hand, and only "
    "unseen samples were measured."
)
"""What else is not proven with --no-retain."""
ARTEFACTS = (
    "exports, quantised, pruned and distilled models that were made from it",
    "models that were fine-tuned from it, and models in production, on devices and at recipients",
    "embeddings, predictions and search indexes that were computed with it",
    "its training states, backups and copies in experiment tracking and model registries",
    "the listed samples in the training data, its copies and its caches",
)
"""What may still hold the samples, beside the old model itself."""


def erasure_sections(report: Report) -> list[str]:
    """Return the lines of both sections; none for a report without a list or without an output."""
    if report.output is None or report.inputs.forget_list is None:
        return []
    return [*_record(report), "", *_model_card(report)]


def _record(report: Report) -> list[str]:
    listed, output, run = report.inputs.forget_list, report.output, report.run
    assert listed is not None
    assert output is not None
    recipe = report.config.get("unlearn", {})
    facts = {
        "request": _request(report, listed),
        "run on": f"{report.created:%Y-%m-%d %H:%M} UTC",
        "model before": f"{_code(report.inputs.model.path)}, SHA-256 "
        f"`{report.inputs.model.sha256}`",
        "model after": f"{_code(output.path)}, SHA-256 `{output.sha256}`",
        "procedure": f"machine unlearning with falw {report.tool.version}, method "
        f"{markdown_text(recipe.get('method'))}"
        + (f", {counted(run.steps, 'step')} in {run.seconds:.0f} s" if run else "")
        + f"; measured before and after on the listed samples{_retained(report)} and on unseen "
        "ones",
        "result": _result(report),
        "report": f"digest `{report.digest}`; `falw verify` checks it and the files it names"
        if report.digest
        else "without a digest, so that changes cannot be noticed",
    }
    if report.earlier:
        lists = ", ".join(f"`{(one.sha256 or 'unknown')[:16]}`" for one in report.earlier.requests)
        facts["earlier requests"] = f"lists {lists}; {_earlier(report)}"
    return [
        "#### Record of an erasure request",
        "",
        *(f"- **{name}:** {value}" for name, value in facts.items()),
        "",
        "This does not prove:",
        "",
        *(f"- {text}" for text in (*NOT_PROVEN, *[NO_RETAIN] * _alone(report))),
        "",
        "Replace or delete, and note the date:",
        "",
        f"- [ ] the model before, SHA-256 `{report.inputs.model.sha256}`",
        *(
            f"- [ ] a model that it was made from, SHA-256 `{one}`"
            for one in reversed(report.inputs.model.made_from)
        ),
        *(f"- [ ] {text}" for text in ARTEFACTS),
    ]


def _request(report: Report, listed: ListInput) -> str:
    """Return the size of the list, which differs from that of the forget set, and its digest."""
    copies, unreadable = report.forget.copies, report.forget.unreadable
    size = counted(listed.count - copies + unreadable, "sample")
    text = f"{size}, list with SHA-256 `{listed.sha256}`"
    text += f"; exact copies under other IDs, unlearned too: {copies}" if copies else ""
    return text + (f"; not readable, so not unlearned: {unreadable}" if unreadable else "")


def _headlines(report: Report) -> list[str]:
    """Return the verdict's headline; if it is a failed gate, the headline of the list as well."""
    said = verdict(report)
    return [said.headline, *said.points[: said.headline == GATE_FAILED]]


def _result(report: Report) -> str:
    said = verdict(report)
    means = MEANS[said.level]
    if said.headline == GATE_FAILED:
        means = "A condition that was set for this run **failed**."
    return f"{means} {markdown_text('; '.join(_headlines(report)))}."


def _earlier(report: Report) -> str:
    """Return the verdict's words on earlier requests."""
    if report._problem:
        return f"no verdict, since the report {report._problem}"
    return earlier_requests(report).removeprefix("earlier requests: ")


def _model_card(report: Report) -> list[str]:
    """Return the section; it names neither list nor classes, since model cards are public."""
    output, before, after = report.output, report.metrics.before, report.metrics.after
    assert output is not None
    requests, verb = 1 + _requests_before(report), "was" if report.forget.count == 1 else "were"
    lines = [
        f"- {_training_samples(report)} {verb} unlearned on {report.created:%Y-%m-%d} with falw "
        f"{report.tool.version}"
        + (f", as request {requests} on this model." if requests > 1 else "."),
        f"- Result: {markdown_text('; '.join(_headlines(report)))}.",
        f"- Test accuracy: {_accuracy(before)} before, {_accuracy(after)} after.",
        "- Unlearning is approximate and gives no guarantee that no influence remains.",
        f"- Weights: SHA-256 `{output.sha256}`.",
    ]
    return ["#### For the model card", "", *lines]


def _requests_before(report: Report) -> int:
    earlier = report.earlier
    if earlier is None or earlier.number is None:  # an older falw counted all that were named
        return len(earlier.requests) if earlier else 0
    return earlier.number


def _retained(report: Report) -> str:
    return "" if _alone(report) else ", on retain samples"


def _alone(report: Report) -> bool:
    """Return whether the run used no training samples but the list."""
    return bool(report.config.get("no_retain"))


def _training_samples(report: Report) -> str:
    listed = counted(report.forget.count, "sample")
    if _alone(report):  # the data may hold nothing else
        return listed
    return f"{listed} of {report.inputs.data.count:,} training samples"


def _accuracy(metrics: Metrics | None) -> str:
    value = metrics.test_accuracy if metrics else None
    return "not measured" if value is None else f"{value:.2f} %"


def _code(text: str) -> str:
    return f"`{markdown_text(text).replace('`', '')}`"
