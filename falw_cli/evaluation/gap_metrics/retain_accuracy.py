"""RA: share of the retain samples that the model classifies correctly."""

from falw_cli.evaluation.gap_metric import accuracy

metric = accuracy(__name__, "RA", "retain accuracy", part="retain")
