"""The verdict: a report's conclusion in words, shown first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from falw_cli.audit.gates import FORGOTTEN
from falw_cli.audit.report import Report
from falw_cli.audit.rows import figure
from falw_cli.evaluation.metrics import Figure, Metrics

Level = Literal["good", "mixed", "bad", "unknown"]
OVER = 120
"""Percent: a forgotten share whose interval is above this is over-forgetting."""
CHANCE = 0.05
"""Significance level: larger p-values are consistent with chance."""
SEEDS = {
    "closer": "closer to the Retrain models than they are to one another",
    "within": "as close to the Retrain models as they are to one another: within seed-to-seed "
    "variation",
    "outside": "further from the Retrain models than seed-to-seed variation explains",
}


@dataclass(frozen=True)
class Verdict:
    """A level, a headline, and the findings behind them."""

    level: Level
    headline: str
    points: tuple[str, ...]


def verdict(report: Report) -> Verdict:
    """Return the verdict of a report, from its figures alone."""
    after = report.metrics.after
    if after is None:
        return Verdict("unknown", "Nothing was measured: a dry run", ())
    seeds, unseen = _against_retrain(report), _against_unseen(after)
    before = report.metrics.before
    if before is not None and unseen[0] == "good" and _against_unseen(before)[0] == "good":
        # A test that finds nothing in the original is no evidence of forgetting.
        unseen = "unknown", f"{unseen[1]}; same for the original, so here this test has no power"
    share = _share(after)
    points = [text for _, text in (share, seeds, unseen) if text]
    failed = [gate.expression for gate in report.gates if not gate.passed]
    if report.gates:
        passed = f"{len(report.gates) - len(failed)} of {len(report.gates)} gates passed"
        points.append(passed + (f"; failed: {', '.join(failed)}" if failed else ""))
    levels = {level for level, _ in (seeds, unseen)} - {"unknown"}
    level, headline = _headline(levels, gated=bool(failed), listed=bool(report.forget.count))
    if after.forgotten_share is not None and failed in ([], [FORGOTTEN.expression]):
        # The share compares each sample with its own expectation. The other tests compare it with
        # unseen samples of its class, which are too easy if the list is hard or mislabelled.
        level, headline = _by_share(after.forgotten_share, outside=seeds[0] == "bad")
    return Verdict(level, headline, tuple(points))


def _headline(levels: set[Level], *, gated: bool, listed: bool) -> tuple[Level, str]:
    if gated:
        return "bad", "A gate failed"
    if not listed:
        return "unknown", "No forget list: only accuracy was measured"
    if not levels:
        return "unknown", "Inconclusive: these tests do not show whether the list is forgotten"
    if levels == {"good"}:
        return "good", "Forgotten, as far as these tests show"
    if levels == {"bad"}:
        return "bad", "Not forgotten: the list can still be detected"
    return "mixed", "Forgotten in part: the tests disagree"


def _by_share(share: Figure, *, outside: bool) -> tuple[Level, str]:
    """Return level and headline from the forgotten share."""
    figures = f"{share.value:.0f} % ({share.lower:.0f} to {share.upper:.0f} %)"
    if share.upper < 50:
        return "bad", f"Not forgotten: {figures}"
    if share.lower < 50:
        return "unknown", f"Cannot tell whether the list is forgotten: {figures}"
    if share.lower > OVER:
        return "mixed", f"Over-forgotten: {figures}"
    return "mixed" if outside else "good", f"Forgotten: {figures}"


def _share(after: Metrics) -> tuple[Level, str]:
    """Return the explanation of the forgotten share, if there is one."""
    if after.forgotten_share is None:
        return "unknown", ""
    return (
        "unknown",
        "0 % is unchanged, 100 % as expected of a model that never saw the list",
    )


def _against_retrain(report: Report) -> tuple[Level, str]:
    """Return level and text for the gap to Retrain, if there is one."""
    found, after = report.metrics, report.metrics.after
    if after is None or after.avg_gap is None:
        return "unknown", ""
    ends = after.intervals.get("avg_gap")
    between = f" (95 %: {ends.lower:.2f} to {ends.upper:.2f})" if ends else ""
    before = ""
    if found.before is not None and found.before.avg_gap is not None:
        before = f", {found.before.avg_gap:.2f} before"
    gap = f"Avg. Gap to Retrain {after.avg_gap:.2f} points{between}{before}"
    if found.seeds is None:
        level: Level = "good" if ends is not None and ends.lower == 0 else "mixed"
        return level, f"{gap}; one retrained model says nothing about seed-to-seed variation"
    least, most = found.seeds.smallest, found.seeds.largest
    floor = f"{least:.2f}" if found.seeds.pairs == 1 else f"{least:.2f} to {most:.2f}"
    words = SEEDS.get(found.seeds.verdict, found.seeds.verdict)
    level = "bad" if found.seeds.verdict == "outside" else "good"
    return level, f"{gap}; {words} (Retrain pairs: {floor})"


def _against_unseen(after: Metrics) -> tuple[Level, str]:
    """Compare forget samples with unseen ones of their classes; needs no Retrain model."""
    if after.mia is None or after.distance is None:
        return "unknown", ""
    auc, distance = after.mia.auc, after.distance
    figures = (
        f"AUC {figure(auc, 3)}; distance {distance.value:.3f}, by chance "
        f"{distance.chance:.3f} (p = {distance.p_value:.3f})"
    )
    found, apart = not auc.lower <= 0.5 <= auc.upper, distance.p_value <= CHANCE
    if not found and not apart:
        return "good", f"forget samples cannot be distinguished from unseen samples: {figures}"
    # Each test alone has a false-positive rate of 5 %, so only both together count as proof.
    level: Level = "bad" if found and apart else "mixed"
    if auc.value < 0.5:
        look = "look" if level == "bad" else "may look"
        return level, f"forget samples {look} less familiar than unseen samples: {figures}"
    look = "still look" if level == "bad" else "may still look"
    return level, f"forget samples {look} like training samples: {figures}"
