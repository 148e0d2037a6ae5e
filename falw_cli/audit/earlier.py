"""The report's section on earlier requests."""

from __future__ import annotations

from collections.abc import Sequence

from falw_cli.evaluation.earlier import EarlierRequest, EarlierRequests, remeasure
from falw_cli.evaluation.predictions import Predictions
from falw_cli.evaluation.scores import SamplePredictions
from falw_cli.models.earlier import Earlier
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress

Each = Sequence[SamplePredictions | None]
"""Predictions for the samples of each request; None for one without samples."""


def earlier_section(
    earlier: Earlier,
    progress: Progress,
    after: Each | None = None,
    before: Each | None = None,
    others: tuple[Predictions | None, Predictions] | None = None,
) -> EarlierRequests | None:
    """Return the section, and warn of lists that were learned again; None without requests.

    Args:
        earlier: the requests.
        progress: receives the warning.
        after, before: the models' predictions; None if they were not made.
        others: predictions for retain and test samples, before and after.
    """
    if not earlier.requests:
        return None
    shown = []
    for number, one in enumerate(earlier.requests):
        now = after[number] if after else None
        then = before[number] if before else None
        found = remeasure(then, now, *others) if now and others else None
        if found and found.still_forgotten == "yes" and not one.forgotten:
            found = found.model_copy(update={"still_forgotten": "cannot tell"})
        shown.append(
            EarlierRequest(
                source=one.source, sha256=one.sha256, count=one.count,
                in_data=None if one.rows is None else len(one.rows), recorded=one.created,
                forgotten=one.forgotten, remeasured=found,
            )
        )  # fmt: skip
        if found and found.rise and found.still_forgotten == "no":
            progress.warn(
                "the model learned an earlier list again: the true-class probability of its "
                f"{counted(found.samples, 'sample')} rose by {found.rise.value:.2f} more than that "
                f"of unseen samples (list {(one.sha256 or 'unknown')[:12]})"
            )
    return EarlierRequests(left_out=len(earlier.rows), requests=shown, number=earlier.number)
