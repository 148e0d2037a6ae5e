"""RA: share of the retain samples that the model classifies correctly."""

from falw_cli.evaluation.gap_metric import accuracy

metric = accuracy(
    __name__, "RA", "retain accuracy", part="retain",
    explanation="Share of correct predictions on retain samples: training samples that stay.",
)  # fmt: skip
