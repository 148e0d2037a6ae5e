"""FA: share of the forget samples that the model classifies correctly."""

from falw_cli.evaluation.gap_metric import accuracy

metric = accuracy(
    __name__, "FA", "forget accuracy", part="forget",
    explanation="Share of the forget samples that the model classifies correctly. The goal is not "
    "0 % but the accuracy of a model that never saw them.",
)  # fmt: skip
