"""FA: share of the forget samples that the model classifies correctly."""

from falw_cli.evaluation.gap_metric import accuracy

metric = accuracy(__name__, "FA", "forget accuracy", part="forget")
