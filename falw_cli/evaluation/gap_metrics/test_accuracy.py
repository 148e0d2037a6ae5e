"""TA: share of the test samples that the model classifies correctly."""

from falw_cli.evaluation.gap_metric import accuracy

metric = accuracy(
    __name__, "TA", "test accuracy", part="test",
    explanation="Share of correct predictions on test samples, on which no model was trained.",
)  # fmt: skip
