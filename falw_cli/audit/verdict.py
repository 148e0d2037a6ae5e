"""The verdict: a report's conclusion in words, shown first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from falw_cli.audit.contradictions import contradiction, has_whole_class
from falw_cli.audit.gates import FORGOTTEN, READABLE
from falw_cli.audit.losses import class_losses, losses
from falw_cli.audit.report import Report
from falw_cli.audit.unseen import Level, against_unseen, more_detected
from falw_cli.evaluation.earlier import EarlierRequest
from falw_cli.evaluation.forgotten import BEYOND, BOUNDS, HALF, OVER, claim
from falw_cli.evaluation.full_audit import TRAINED
from falw_cli.evaluation.gap import EQUIVALENT
from falw_cli.evaluation.metrics import Figure
from falw_cli.runtime.printable import counted, decimal

NO_SHARE = "no forgotten share: "
"""Beginning of the warnings that say why there is no forgotten share."""
NOT_MEMORISED = ("had not memorised", "had memorised too little")
"""Parts of those which say that there was little or nothing to forget."""
FORGOTTEN_SAID = "Forgotten"
"""Beginning of the headlines that say so."""
GATE_FAILED = "A gate failed"
SEEDS = {
    "closer": "closer to the Retrain models than they are to one another",
    "equivalent": "as close to the Retrain models as they are to one another: the gap is surely "
    f"below {EQUIVALENT:g} times their largest one",
    "within": "cannot tell whether it is as close to the Retrain models as they are to one another",
    "outside": "further from the Retrain models than seed-to-seed variation explains",
}
LEVELS: dict[str, Level] = {"closer": "good", "equivalent": "good", "outside": "bad"}
"""Meaning of the comparison with the Retrain models; "unknown" for others."""


OVER_FORGOTTEN: tuple[Level, str] = (
    "mixed",
    "Over-forgotten: the list is less familiar than unseen samples",
)
UNFAMILIAR: tuple[Level, str] = (
    "unknown",
    "Cannot tell: the list is less familiar than unseen samples, because it is over-forgotten, or "
    "hard or mislabelled; compare with the original (--original)",
)
"""Level and headline of a list that may be no random draw, without a comparison."""


@dataclass(frozen=True)
class Verdict:
    """A level, a headline, and the findings behind them."""

    level: Level
    headline: str
    points: tuple[str, ...]


def verdict(report: Report) -> Verdict:
    """Return the verdict of a report, from its figures alone.

    It claims equivalence or a difference only where an interval lies inside or outside a margin:
    "cannot tell" is its own result.
    """
    if report._problem:
        return Verdict("unknown", f"No verdict: the report {report._problem}", ())
    if report.metrics.after is None:
        return Verdict("unknown", "Nothing was measured: a dry run", ())
    seeds, unseen = _against_retrain(report), against_unseen(report)
    harm, small = losses(report)
    level, headline = _conclusion(report, seeds, unseen)
    if found := _contradicted(report, headline):
        level, headline = "unknown", f"Cannot tell whether the list is forgotten: {found}"
    if harm and level != "bad":
        level = "mixed" if level == "good" else level
        headline = f"{headline}, but {harm.partition(' (')[0]}"
    corrected = report.corrections.in_words() if report.corrections else ""
    points = [
        _explained(report), seeds[1], unseen[1], harm, small, class_losses(report), corrected,
        earlier_requests(report),
    ]  # fmt: skip
    if report.forget.unreadable:
        points.insert(0, f"the samples that can be read: {headline}")
        level = "bad"
        unread = counted(report.forget.unreadable, "listed sample")
        headline = f"Not forgotten: {unread} that cannot be read"
    failed = [gate.expression for gate in report.gates if not gate.passed]
    if report.gates:
        passed = f"{len(report.gates) - len(failed)} of {len(report.gates)} gates passed"
        points.append(passed + (f"; failed: {', '.join(failed)}" if failed else ""))
    if set(failed) - {FORGOTTEN.expression, READABLE.expression}:
        points.insert(0, headline)
        level, headline = "bad", GATE_FAILED
    return Verdict(level, headline, tuple(text for text in points if text))


def _contradicted(report: Report, headline: str) -> str:
    """Return what contradicts a headline that says that something is forgotten, and its share."""
    after = report.metrics.after
    share = after.forgotten_share if after else None
    found = claim(share) if share else ""
    if not headline.startswith(FORGOTTEN_SAID) and found not in ("at least", "over-forgotten"):
        return ""
    against = contradiction(report, only_detection=bool(found) and found != "forgotten")
    if not against or share is None:
        return f"{against}; other tests: {headline}" if against else ""
    return f"{against}; forgotten share {_figures(share)}"


def _conclusion(
    report: Report, seeds: tuple[Level, str], unseen: tuple[Level, str]
) -> tuple[Level, str]:
    """Return level and headline about the forget list."""
    after = report.metrics.after
    assert after is not None
    if not report.forget.count:
        return "unknown", "No forget list: only accuracy was measured"
    if after.forgotten_share is not None:
        # Each sample is compared with its own expectation. The other tests compare it with unseen
        # samples of its class, which are too easy if the list is hard or mislabelled.
        return _by_share(after.forgotten_share, outside=seeds[0] == "bad")
    return _without_share(report, seeds[0], unseen[0])


def _without_share(report: Report, seeds: Level, unseen: Level) -> tuple[Level, str]:
    """Return level and headline where forget samples have no comparison with an expectation."""
    reasons = [text for text in report.warnings if text.startswith(NO_SHARE)]
    reason = f": {reasons[0].removeprefix(NO_SHARE)}" if reasons else ""
    unclear: tuple[Level, str] = "unknown", f"Cannot tell whether the list is forgotten{reason}"
    compared = report.metrics.before is not None
    if compared and any(words in reason for words in NOT_MEMORISED):
        return _detected(report, unclear[1]) if unseen == "bad" else unclear
    if unseen == "bad":
        return "bad", "Not forgotten: the list can still be detected"
    retrained = report.metrics.seeds is not None and seeds == "good"
    if unseen == "mixed" and (compared or report.inputs.model.unlearned):
        return OVER_FORGOTTEN if compared else UNFAMILIAR
    if not compared and not (report.inputs.model.names_list and retrained):
        # A list that was never unlearned may pass these tests too, if it was not memorised.
        return "unknown", f"{unclear[1]}: no comparison with the original (--original)"
    if unseen == "good" and seeds != "bad":
        return "good", f"{FORGOTTEN_SAID}, as far as these tests show"
    return unclear


def _detected(report: Report, unclear: str) -> tuple[Level, str]:
    """Return level and headline of a detected list that the original had not memorised."""
    if more_detected(report.metrics):
        return "bad", "Not forgotten: the list can be detected, more clearly than in the original"
    # An easy list looks familiar even to a retrained model.
    return "unknown", (
        f"{unclear}; but the list can be detected: it is easy, or the original is another model's"
    )


def _by_share(share: Figure, *, outside: bool) -> tuple[Level, str]:
    """Return level and headline from the forgotten share."""
    figures, found = _figures(share), claim(share)
    if found == "not forgotten":
        return "bad", f"Not forgotten: {figures}"
    if found == "cannot tell":
        return "unknown", f"Cannot tell whether the list is forgotten: {figures}"
    if found == "at least":
        return "unknown", (
            "Cannot tell whether the list is over-forgotten; at least "
            f"{decimal(share.lower, 0, bounds=BOUNDS)} % is "
            f"forgotten: {figures}"
        )
    if found == "over-forgotten":
        return "mixed", f"Over-forgotten: {figures}"
    if outside:
        return "mixed", f"{FORGOTTEN_SAID}: {figures}, but {SEEDS['outside']}"
    return "good", f"{FORGOTTEN_SAID}: {figures}"


def _figures(share: Figure) -> str:
    """Return a forgotten share with its interval as text."""
    value, lower, upper = (
        decimal(one, 0, bounds=BOUNDS) for one in (share.value, share.lower, share.upper)
    )
    return f"{value} % ({lower} to {upper} %)"


def _explained(report: Report) -> str:
    """Return the explanation of the forgotten share, and of its precision."""
    share = report.metrics.after and report.metrics.after.forgotten_share
    if not share:
        return ""
    sentences = [
        "0 % means unchanged, 100 % as expected of a model that never saw the list.",
        f"The list counts as forgotten if the whole interval is between {HALF:g} and {BEYOND:g} %, "
        f"and begins at {OVER:g} % or below.",
        "The interval covers the samples of the list, not the chance of training: a retrained "
        "model need not be at 100 %.",
    ]
    if claim(share) in ("cannot tell", "at least"):
        shown = max(share.value - share.lower, share.upper - share.value)
        few = f"a list of this size ({report.forget.count})"
        sentences.append(
            f"With {few}, a difference of less than {shown:.0f} points would not be seen."
            if shown <= BEYOND
            else f"{few.capitalize()} is too short, or too little memorised, for a precise share."
        )
    whole = has_whole_class(report.metrics.after)
    if whole and report.comeback is None and claim(share) != "not forgotten":
        sentences.append(
            "Such a share of a whole class is also possible if only the class's output is masked: "
            "--relearn tests it."
        )
    return " ".join(sentences)


def earlier_requests(report: Report) -> str:
    """Return whether the lists of earlier requests are still forgotten."""
    if report.earlier is None:
        return ""
    found = Counter(_state(one, report) for one in report.earlier.requests)
    texts = [f"{count} {state}" for state, count in sorted(found.items())]
    return f"earlier requests: {', '.join(reversed(texts))}"


def _state(one: EarlierRequest, report: Report) -> str:
    """Return what is known of an earlier request's samples, and of how many."""
    found, known = one.remeasured, _known(one, report)
    if found is None or one.count is None or found.samples >= one.count:
        return known
    return f"{known} (measured on {found.samples:,} of {one.count:,} samples)"


def _known(one: EarlierRequest, report: Report) -> str:
    found = one.remeasured
    if one.in_data is None:
        return _unnamed(report)
    if found is None:
        return "on this list too, or not readable" if one.in_data else "no samples at hand"
    if found.still_forgotten != "cannot tell":
        return {"yes": "still forgotten", "no": "learned again"}[found.still_forgotten]
    if one.forgotten is False:
        return "not shown to be forgotten when unlearned"
    if found.rise is None or found.margin is None or found.rise.upper >= found.margin:
        return "cannot tell whether still forgotten"
    return "not learned again, but no run of this model on this list is known"


def _unnamed(report: Report) -> str:
    """Return what is known of samples that only the digest of their list names."""
    assert report.earlier is not None
    if report.config.get("no_retain"):
        return "not named, but no retain samples were used"
    if "none" in (report.config.get("forgotten") or ()):
        return "said to be no longer in the data"
    if any(one.source == "list" and one.in_data for one in report.earlier.requests):
        return "not recognised in the files of --forgotten, and may count as retain samples"
    return "not named, so that samples may count as retain samples"


def _against_retrain(report: Report) -> tuple[Level, str]:
    """Return level and text for the gap to Retrain, if there is one."""
    found, after = report.metrics, report.metrics.after
    if after is None or after.avg_gap is None:
        return "unknown", ""
    ends = after.intervals.get("avg_gap")
    between = f" (95 %: {decimal(ends.lower, 2, bounds=(0,))} to {ends.upper:.2f})" if ends else ""
    before = ""
    if found.before is not None and found.before.avg_gap is not None:
        before = f", {found.before.avg_gap:.2f} before"
    gap = f"Avg. Gap to Retrain {after.avg_gap:.2f} points{between}{before}"
    if found.seeds is None:
        return "unknown", f"{gap}; one retrained model says nothing about seed-to-seed variation"
    least, most = found.seeds.smallest, found.seeds.largest
    floor = f"{least:.2f}" if found.seeds.pairs == 1 else f"{least:.2f} to {most:.2f}"
    words = SEEDS.get(found.seeds.verdict, found.seeds.verdict)
    text = f"{gap}; {words} (Retrain pairs: {floor})"
    doubtful = any(one.doubtful for one in report.inputs.references)
    if doubtful or any(TRAINED in one for one in report.warnings):
        return "unknown", f"{text}; this does not count, because of the warnings on the references"
    return LEVELS.get(found.seeds.verdict, "unknown"), text
