"""The terms of a report's page: shown where they are used, and listed at its end."""

from __future__ import annotations

import re
from collections.abc import Sequence

from falw_cli.audit.rows import Row

INTERVAL = "95 % interval"
TERMS = {
    INTERVAL: "The range in which a figure would lie in 95 of 100 cases if other samples of the "
    "same kind were drawn. It is below each figure.",
    "forget sample": "A sample on the forget list.",
    "retain sample": "A training sample that is not on the list.",
    "unseen sample": "A test sample, which neither training nor unlearning has used.",
    "Retrain": "A model trained in the same way without the list: the goal of unlearning. With "
    "several retrained models, figures are their mean.",
    "expectation": "The prediction that a model which never saw the list would make for a sample. "
    "It is estimated without training such a model.",
    "verdict": "A headline on the forgotten share depends on its 95 % interval, in brackets. "
    "“Forgotten”: the whole interval is between 50 and 150 %, so that the model differs from the "
    "expectation by at most half as much as before unlearning. “Not forgotten”: it is below 50 %. "
    "“Over-forgotten”: it is above 120 %. “Cannot tell”: it contains 50 %, or it reaches from "
    "above 50 % to more than 150 %, or another test contradicts the share. More forget or "
    "held-out samples make the interval narrower. A loss of accuracy is named in the headline if "
    "it is more than chance (McNemar’s paired test) and larger than 1 point; with retrained "
    "models, larger than 0.5 points below the lower of original and Retrain.",
    "head, mid, tail": "The thirds of the classes with the most, a medium number of, and the "
    "fewest forget samples.",
    "deviation": "Forget accuracy minus that of Retrain or of unseen samples of the same class "
    "mix; below 0 is over-forgetting. Classes that keep no retain sample are left out of the "
    "comparison with unseen samples, because a retrained model never predicts these classes.",
    "distance by chance": "The mean distance if the forget samples were unseen ones. p is the "
    "probability of a distance at least this large by chance.",
    "TPR at 1 % FPR": "The true-positive rate, in percent, at a false-positive rate of 1 %; chance "
    "is then 1 %.",
    "retained vs. unseen": "The same attack on retain samples, which the model was trained on.",
}
"""Terms of every page, in the order of its sections."""


def glossary(rows: Sequence[Row]) -> dict[str, str]:
    """Return term -> explanation: those of every page, then the explained figures of this one."""
    return TERMS | {row.label: row.explanation for row in rows if row.explanation}


def anchor(term: str) -> str:
    """Return the ID of a term's entry."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")
