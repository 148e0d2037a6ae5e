"""Whether an original fits the data it is said to be trained on, checked before it is changed.

A model that does not know its own training data would be trained by an unlearning run, not
unlearned: the order of the classes, the preprocessing or the architecture is probably wrong.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from falw_cli.errors import RequestError
from falw_cli.evaluation.predictions import Predictions

ABOVE_CHANCE = 0.15
"""An accuracy below chance plus this share of the rest counts as near chance."""
REORDERED = 0.25
"""A gain in accuracy by another order of the classes that is no accident."""
BELOW_UNSEEN = 0.1
"""Training samples are not harder than unseen ones by so much."""
FEW = 20
"""Retain samples below which nothing is concluded."""


def check_plausible(original: Predictions) -> None:
    """Refuse an original that does not know its own retain samples.

    Args:
        original: what the original predicts for retain and test samples.

    Raises:
        RequestError: its retain accuracy is near chance, far below its test accuracy, or much
            higher with its classes in another order.
    """
    retain, number = original.retain, len(original.classes)
    if len(retain) < FEW:
        return
    accuracy, chance = float(retain.correct.mean()), 1 / number
    known = f"accuracy on its own retain samples is {100 * accuracy:.1f} %"
    reordered = _reordered_accuracy(retain.labels, retain.predicted, number)
    if reordered > accuracy + REORDERED:
        raise RequestError(
            f"the model's {known}, and {100 * reordered:.1f} % with its classes in another order",
            "give the class names in the order of the model's outputs: --classes FILE",
        )
    if accuracy < chance + ABOVE_CHANCE * (1 - chance):
        raise RequestError(
            f"the model's {known}, where chance is {100 * chance:.1f} %: it does not know its data",
            "check the class order (--classes FILE), the preprocessing, --arch and --data",
        )
    unseen = float(original.test.correct.mean()) if len(original.test) >= FEW else 0.0
    if accuracy < unseen - BELOW_UNSEEN:
        raise RequestError(
            f"the model's {known}, below the {100 * unseen:.1f} % on unseen samples: it was not "
            "trained on this data",
            "check --data, the labels in it, and the preprocessing",
        )


def _reordered_accuracy(
    label: np.ndarray[tuple[int], np.dtype[np.int64]],
    predicted: np.ndarray[tuple[int], np.dtype[np.int64]],
    number: int,
) -> float:
    """Accuracy with the outputs assigned to the classes in the best order."""
    confusion = np.zeros((number, number), dtype=np.int64)
    np.add.at(confusion, (label, predicted), 1)
    rows, columns = linear_sum_assignment(confusion, maximize=True)
    return float(confusion[rows, columns].sum() / len(label))
