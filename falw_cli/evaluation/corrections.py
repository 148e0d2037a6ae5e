"""Accuracy on the right labels of a list of mislabelled or poisoned samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from falw_cli.evaluation.intervals import wilson
from falw_cli.evaluation.metrics import Figure, Figures
from falw_cli.evaluation.predictions import Predictions


class Corrections(Figures):
    """Forget samples that a model assigns to their right label, percent."""

    column: str
    """Column of the right labels, `--correct`."""
    before: Figure | None
    """Of the original."""
    after: Figure
    """Of the model."""
    references: list[Figure]
    """Of each Retrain model."""

    def in_words(self) -> str:
        """Return the figures as a sentence without a full stop."""
        others = ", ".join(f"{one.value:.1f} %" for one in self.references)
        return (
            f"on the right labels of the list ({self.column}): accuracy "
            + (f"{self.before.value:.1f} % before, " if self.before else "")
            + f"{self.after.value:.1f} % after "
            f"({self.after.lower:.1f} to {self.after.upper:.1f} %)"
            + (f", retrained {others}" if others else "")
        )


def corrections(
    column: str,
    right: npt.NDArray[np.int64],
    before: Predictions | None,
    after: Predictions,
    references: Sequence[Predictions],
) -> Corrections:
    """Return the accuracy of models on the right labels.

    Args:
        column: where the labels come from.
        right: right class of each forget sample, [N].
        before, after, references: predictions of the original, the model, and Retrain models.
    """

    def accuracy(of: Predictions) -> Figure:
        share = float((of.forget.predicted == right).mean())
        return Figure.of(share, wilson(share, len(right)), 100)

    return Corrections(
        column=column,
        before=accuracy(before) if before else None,
        after=accuracy(after),
        references=[accuracy(one) for one in references],
    )
